"""The command line of `inspect`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlx_whisper_lora.cli.file_names import file_option
from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.weights import WeightedFolder, data_folders
from mlx_whisper_lora.whisper.checkpoints.hub import MODEL_HELP
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.text.languages import language_code

DESCRIPTION = """\
Inspect clips before they are trained on: hours, speakers, lengths, scripts and tokens, and the clips that a person
should look at, each with the reason. With --model, a model listens to them, and the texts that fit their recordings
worst come first. They are often those of other recordings.
"""
EXAMPLES = """\
examples:
  the bundled demo clips
    python -m mlx_whisper_lora.inspect

  a page on which each suspicious clip can be played, with the texts that fit their recordings worst
    python -m mlx_whisper_lora.inspect --data telugu --language te --model base --html telugu.html

  the first clips of a data set, before all of it is downloaded
    python -m mlx_whisper_lora.inspect --data google/fleurs --hf-dataset-lang te_in --hf-streaming --hf-max-clips 100

  the measures of every clip, for a program
    python -m mlx_whisper_lora.inspect --data telugu --json telugu.json

The layouts of data folders are in the help of mlx_whisper_lora.lora. The exit code is 0, whatever is found.
"""


@documented
@dataclass(frozen=True)
class InspectOptions:
    """The clips to inspect, the model that listens to them, and the files to write."""

    data: str | Sequence[str] | None = option(
        None,
        "Folder of clips, or a Hugging Face data set as owner/name. It may be given several times.",
        metavar="FOLDER",
        repeats=True,
        shown_default="the bundled demo clips",
    )
    language: str | None = option(
        None,
        "Language of the clips, as a code (te) or a name (telugu).",
        parse=language_code,
        shown_default="the data's 'language' column",
    )
    model: str | None = option(
        None, f"Model that listens to the clips: {MODEL_HELP}.", shown_default="none, which takes much less time"
    )
    max_clips: int | None = option(
        None,
        "With a model: the most clips that it listens to, which are chosen at random.",
        minimum=2,
        shown_default="all clips",
    )
    suspects: int = option(
        30, "With a model: how many of the clips that it finds suspicious are listed.", minimum=1, maximum=1000
    )
    json: str | None = file_option(".json", "File for all measures and findings.")
    html: str | None = file_option(".html", "File for a page on which the suspicious clips can be played.")
    sources: SourceOptions = field(default_factory=SourceOptions)  # how the folders are read
    hub: HubDataOptions = field(default_factory=HubDataOptions)  # the part of a Hugging Face data set

    def __post_init__(self):
        check_ranges(self)
        self.folders  # noqa: B018 - a wrong one is an error at once
        if self.max_clips is not None and self.model is None:
            raise OptionError("`max_clips` limits the work of a model: give `model` too")

    @property
    def bundled(self) -> bool:
        """Whether the clips are the bundled ones."""
        return self.data is None and self.hub.hf_dataset is None

    @property
    def folders(self) -> list[WeightedFolder]:
        """The data folders, or names of data sets."""
        return data_folders(self.data, self.hub)


def build_parser() -> CommandParser:
    parser = CommandParser("mlx_whisper_lora.inspect", DESCRIPTION, EXAMPLES)
    add_options(parser, InspectOptions)
    add_options(parser.add_argument_group("reading of clips"), SourceOptions)
    add_options(parser.add_argument_group("Hugging Face data sets"), HubDataOptions)
    return parser
