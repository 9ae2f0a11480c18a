"""The command line of `explain`."""

from dataclasses import dataclass

from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.cli.transcribe_options import CommandOptions
from mlx_whisper_lora.explanation.options import ExplanationOptions
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

DESCRIPTION = """\
Show what a prediction of Whisper rests on: the parts of the log-mel spectrogram without which the transcript, a word,
the language, or the class of a classifier would be another one. Four methods make maps of a clip, and each map is
tested beside random ones. Or draw the network (--network).
"""
EXAMPLES = """\
examples:
  the transcript of a recording, and all of its words
    python -m mlx_whisper_lora.explain --model base --audio x.wav

  with an adapter, words by all methods, by their numbers or texts, and the second token of the third word
    python -m mlx_whisper_lora.explain --adapter-file adapters.npz --audio x.wav --words 3,fellow,3.2

  why the language is Welsh, or is not
    python -m mlx_whisper_lora.explain --model small --audio x.wav --words "<|cy|>"

  the text that should have been heard
    python -m mlx_whisper_lora.explain --model base --audio x.wav --text "six and seven" --methods mask

  30 s of a long recording
    python -m mlx_whisper_lora.explain --model base --audio talk.mp3 --clip-start 95

  the network, with the layers of an adapter
    python -m mlx_whisper_lora.explain --network --adapter-file adapters.npz

  why a classifier names this dialect
    python -m mlx_whisper_lora.explain --adapter-file dialects.npz --audio x.wav

Each map is a PNG: x.transcript.mask.png. x.transcript.mask.wav is what the mask keeps of the recording, and x.html
shows and plays all of it. The score of a target is the mean log-probability of its tokens.
"""


@documented
@dataclass(frozen=True)
class ExplainOptions:
    """The recording, and where the files go."""

    audio: str | None = option(
        None,
        "Recording. WAV, FLAC, OGG, Opus, MP3 and AIFF are read directly; M4A, MP4, WebM and others require ffmpeg.",
        metavar="FILE",
        shown_default="the bundled demo recording",
    )
    network: bool = option(
        False,
        "Draw the network of the model, with its adapter, as network.svg and network.html, and explain no recording.",
    )
    output_dir: str = option(
        ".",
        "Folder for the pictures, the audio and the page. It is created if it does not exist.",
        short="-o",
        metavar="FOLDER",
        shown_default="the current folder",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.network and self.audio:
            raise OptionError("`network` draws the model, whatever it hears: leave out `audio`")


def build_explain_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.explain", DESCRIPTION, EXAMPLES)
    source = parser.add_argument_group("recording and model")
    add_options(source, ExplainOptions)
    add_options(source, CommandOptions, only=("model", "adapter_file", "adapter_strength", "language", "task"))
    add_options(parser.add_argument_group("explanation"), ExplanationOptions)
    return parser
