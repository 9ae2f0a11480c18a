"""The command line of `classify`."""

import argparse
from dataclasses import dataclass

from mlx_whisper_lora.cli.file_names import file_option
from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.cli.other_names import ELSEWHERE
from mlx_whisper_lora.cli.training_command import TrainingCommand, add_method_options, options_of_resumed_run
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import LabelOptions
from mlx_whisper_lora.training.class_options import ClassOptions, ClassTrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.option import OptionError, documented, option

PROGRAM = "mlx_whisper_lora.classify"
DESCRIPTION = """\
Name the dialect, the accent, or anything else that people say about a clip: train a classifier on clips with labels
(--train), test it (--test), or classify recordings (--audio).

The data folder (--data) is one of those of mlx_whisper_lora.lora, with a column of labels in the place of the texts:
label, dialect, accent or class, or the one that --label-column names. Give the column of speakers, programmes or
whatever must not be in two splits as --speaker-column. Clips of over 30 s are cut into windows.
"""
EXAMPLES = """\
examples:
  train a classifier of dialects, and test it on programmes that it has not heard
    python -m mlx_whisper_lora.classify --train --test --data dialects --speaker-column group

  another method, another head, and at most 99 clips of each class
    python -m mlx_whisper_lora.classify --train --data accents --fine-tune-type adapter --head mean --clips-per-class 99

  which dialect is it?
    python -m mlx_whisper_lora.classify --audio interview.wav

  numbers for a program, and a page with the confusion matrix and the clips that were taken for others
    python -m mlx_whisper_lora.classify --test --data dialects --json test.json --html test.html
"""
_RUN = ("model", "data", "adapter_file", "resume_adapter_file", "resume", "overwrite", "skip_bad")
_SOURCES = ("audio_column", "label_column", "language_column", "speaker_column")
_NOT_FOR_CLASSES = ("pack", "full_context_share", "timestamps_share")


@documented
@dataclass(frozen=True)
class ClassifyOptions(TrainingCommand):
    """The tasks of the command."""

    test: bool = option(
        False, "Print how many test clips are named rightly, with intervals, and which classes are taken for which."
    )
    json: str | None = file_option(
        ".json", "File for the numbers of the test, or for the probabilities of the recordings."
    )
    html: str | None = file_option(
        ".html", "File for a page on the test: the confusion matrix, and the clips that were taken for others."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.html and not self.test:
            raise OptionError("`html` is a page on the test: give `test`")


def build_parser() -> CommandParser:
    parser = CommandParser(PROGRAM, DESCRIPTION, EXAMPLES, elsewhere=ELSEWHERE)
    parser.add_config_option(options_of_resumed_run)
    add_options(parser, ClassifyOptions)
    parser.add_argument(
        "--audio",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="Recordings to classify, or patterns such as 'clips/*.wav'.",
    )
    add_options(parser.add_argument_group("base, clips and classifier"), RunOptions, only=_RUN)
    add_options(parser.add_argument_group("classes"), ClassOptions)
    add_options(parser.add_argument_group("reading of clips"), LabelOptions, only=_SOURCES)
    add_options(parser.add_argument_group("Hugging Face data sets"), HubDataOptions)
    add_method_options(parser)
    training = [name for name in ClassTrainingOptions.__dataclass_fields__ if name not in _NOT_FOR_CLASSES]
    add_options(parser.add_argument_group("training"), ClassTrainingOptions, only=training)
    augmentation = [name for name in AugmentationOptions.__dataclass_fields__ if name != "preview_augmentation"]
    add_options(parser.add_argument_group("augmentation of training clips"), AugmentationOptions, only=augmentation)
    return parser


def check_tasks(command: ClassifyOptions, args: argparse.Namespace) -> None:
    """Check that a command line asks for something, and for one kind of thing.

    Raises:
        OptionError: it does not.
    """
    if not (command.train or command.test or args.audio):
        raise OptionError("nothing to do: give `train`, `test`, or recordings as `audio`")
    if args.audio and (command.train or command.test):
        raise OptionError("`audio` is classified by a classifier that is there: leave out `train` and `test`")
