"""The command line of `short_context`."""

from dataclasses import dataclass
from pathlib import Path

from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.training.adapter_keeper import check_place
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.checkpoints.hub import BASE, MODEL_HELP
from mlx_whisper_lora.whisper.option import OptionError, documented, option

DESCRIPTION = """\
Teach a model short windows, so that it transcribes short recordings several times as fast. No texts are needed.

Whisper needs 30 s of audio in its encoder, most of which is silence if the recording is short. This command trains an
adapter of the encoder on your recordings: in a window of little more than a clip's length, it learns to compute what
the base computes in 30 s. Give it an hour of speech, of many people. `transcribe` then uses short windows by itself.
"""
EXAMPLES = """\
examples:
  an hour of voice messages
    python -m mlx_whisper_lora.short_context --audio "messages/*.ogg"
    python -m mlx_whisper_lora.transcribe --adapter-file short_context.npz --audio new_message.ogg

  a fused model instead of an adapter file; other adapters can be trained on it
    python -m mlx_whisper_lora.fuse --adapter-file short_context.npz --save-path whisper-short
"""
_TRAINING = (
    "iters",
    "batch_size",
    "learning_rate",
    "warmup",
    "steps_per_report",
    "steps_per_eval",
    "full_context_share",
    "seed",
)
_LORA = ("rank", "scale", "dropout", "encoder_layers")


@documented
@dataclass(frozen=True)
class CommandOptions:
    """The base and the adapter."""

    model: str = option(BASE, f"The base: {MODEL_HELP}.")
    adapter_file: str = option("short_context.npz", "The file for the adapter.", metavar="FILE")
    overwrite: bool = option(False, "Replace an adapter in that file.")

    def __post_init__(self):
        if check_place(Path(self.adapter_file)) and not self.overwrite:
            raise OptionError(
                f"{self.adapter_file}: an adapter is there; give `overwrite` to replace it, or another `adapter_file`"
            )


def build_parser() -> CommandParser:
    """Build the parser."""
    parser = CommandParser("mlx_whisper_lora.short_context", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--audio",
        nargs="+",
        required=True,
        metavar="FILE",
        help="Recordings to learn from, or patterns such as 'clips/*.wav', in the languages that will be transcribed.",
    )
    add_options(parser, CommandOptions)
    add_options(parser.add_argument_group("adapter: lora"), LoRAConfig, only=_LORA, prefix="lora_")
    add_options(parser.add_argument_group("training"), TrainingOptions, only=_TRAINING)
    return parser
