"""The command line of `studio`."""

from dataclasses import dataclass

from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.cli.transcribe_options import CommandOptions, add_decoding_options, add_long_form_options
from mlx_whisper_lora.whisper.option import check_ranges, documented, option
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

DESCRIPTION = """\
Transcribe in the browser: record or choose a file, read the transcript with the times of its words, and take its
subtitles. With an adapter, the transcripts of base and adapter are side by side, and words that differ are marked.
"""
EXAMPLES = """\
examples:
  a fine-tuned model
    python -m mlx_whisper_lora.studio --model whisper-telugu

  an adapter beside the model that it was trained on
    python -m mlx_whisper_lora.studio --adapter-file adapters.npz

  for the browsers of other machines, on a port of your choice
    python -m mlx_whisper_lora.studio --model whisper-telugu --host 0.0.0.0 --port 8000

The page asks nothing of the network. Recordings are deleted when the command ends.
"""


@documented
@dataclass(frozen=True)
class StudioOptions:
    """Where the page is."""

    host: str = option(
        "127.0.0.1",
        "Address to listen on; 127.0.0.1 is for this machine alone. 0.0.0.0 is for all who can reach it, and they need "
        "no password. Browsers allow the microphone on this machine, and elsewhere behind HTTPS alone.",
        metavar="ADDRESS",
    )
    port: int | None = option(
        None,
        "Port to listen on; 0 for any free one.",
        minimum=0,
        maximum=65535,
        shown_default="7860, or the next one that is free",
    )

    def __post_init__(self):
        check_ranges(self)


def build_studio_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.studio", DESCRIPTION, EXAMPLES)
    models = parser.add_argument_group("models")
    add_options(models, CommandOptions, only=("model", "adapter_file", "adapter_strength", "language", "task"))
    add_options(parser.add_argument_group("page"), StudioOptions)
    add_long_form_options(parser.add_argument_group("long recordings"))
    decoding = parser.add_argument_group("decoding")
    add_decoding_options(decoding)
    add_options(decoding, TranscriptionOptions, only=("fp16",))
    return parser
