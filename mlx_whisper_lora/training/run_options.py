"""The options of a run of training, of testing, or of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.adapters.open import ADAPTER_HELP
from mlx_whisper_lora.adapters.strength import MOST_STRENGTH, STRENGTH_HELP
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.weights import WeightedFolder, data_folders
from mlx_whisper_lora.whisper.checkpoints.hub import BASE, DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.text.languages import language_code
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.text.tokenizer import TASKS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

ADAPTER_FILE = "adapters.npz"


@documented
@dataclass(frozen=True)
class RunOptions:
    """The base, the clips and the adapter of a run, and how it is scored."""

    model: str | None = option(
        None,
        f"The base: {MODEL_HELP}.",
        shown_default=f"the base of the given adapter, or else {BASE}, or {DEMO} (bundled) for the bundled clips",
    )
    data: str | Sequence[str] | None = option(
        None,
        "Folder of clips, or a Hugging Face data set as owner/name. It may be given several times; with folder:2, "
        "training draws its clips twice as often.",
        metavar="FOLDER",
        repeats=True,
        shown_default="the bundled demo clips",
        instead_of="hf_dataset",
    )
    adapter_file: str | None = option(
        None,
        "The file for the best adapter, in training; the newest one goes to a file beside it, such as "
        f"adapters_last.npz. In a test, the adapter to test: {ADAPTER_HELP}.",
        metavar="ADAPTER",
        shown_default=f"{ADAPTER_FILE} in training; in a test alone, the base is tested without an adapter",
    )
    adapter_strength: float = option(
        1.0, f"{STRENGTH_HELP} It counts in the test, not in training.", minimum=0, maximum=MOST_STRENGTH
    )
    resume_adapter_file: str | None = option(
        None,
        f"Start training from this adapter, with its own settings: {ADAPTER_HELP}.",
        metavar="ADAPTER",
        shown_default="training starts from the base",
    )
    resume: bool = option(
        False,
        "Go on with a run that was cut off, from the state beside its adapter (adapters_state.npz), with the options "
        "that it had. It ends with the adapter that it would have had.",
    )
    overwrite: bool = option(False, "Replace the adapter of another run in those files.")
    valid_data: Sequence[str] = option(
        (),
        "Folder of clips, or a data set, that each evaluation reports on too, such as one of a language that the "
        "adapter should not forget. The best adapter is chosen without it. It may be given several times. Clips that "
        "are trained on are left out.",
        metavar="FOLDER",
        repeats=True,
        shown_default="none",
    )
    language: str | None = option(
        None,
        "Language of the clips, as a code (te) or a name (telugu). For one that Whisper lacks, its nearest relative is "
        "taken. With --new-language, the language that the new one starts from.",
        parse=language_code,
        shown_default="the data's 'language' column, or else that of the given adapter",
    )
    new_language: str | None = option(
        None,
        "Train a token for a language that Whisper lacks, as a code (dv). It is the language of all clips that name no "
        "other in their 'language' column.",
        metavar="LANGUAGE",
        parse=language_code,
        shown_default="the language of the clips is one of Whisper's, or that of the given adapter",
    )
    task: str | None = option(
        None,
        "What the texts are: transcripts, or translations into English. A column of tasks says it of each clip.",
        choices=TASKS,
        shown_default="translate with a column of translations, or else that of the given adapter, or else transcribe",
    )
    normalizer: str | None = option(
        None,
        "How texts are made alike before errors are counted. unicode: case and punctuation do not count, in any "
        "language. english, basic: openai-whisper's for English and for other languages, to compare with published "
        "numbers. basic splits words at vowel signs, as in Telugu, Hindi or Arabic.",
        choices=tuple(NORMALIZERS),
        shown_default="english if all texts are English, or else unicode",
    )
    normalize_text: bool = option(
        False,
        "Clean the texts of all clips: compose letters (Unicode's NFC), remove characters that cannot be seen, but not "
        "the joiners of Indic and Arabic scripts, and shorten white space to single spaces. The changes are counted, "
        "and three are shown.",
    )
    skip_bad: bool = option(False, "Continue without clips that cannot be used, and list them.")
    sources: SourceOptions = field(default_factory=SourceOptions)  # how the folders are read
    hub: HubDataOptions = field(default_factory=HubDataOptions)  # the part of a Hugging Face data set
    transcription: TranscriptionOptions = field(default_factory=TranscriptionOptions)  # how clips are scored

    def __post_init__(self):
        check_ranges(self)
        if self.task == "transcribe" and self.sources.translation_column is not None:
            raise OptionError("`task` transcribe and `translation_column` exclude each other: leave out one of them")
        self.folders  # noqa: B018 - a wrong one is an error at once

    @property
    def bundled(self) -> bool:
        """Whether the clips are the bundled ones."""
        return self.data is None and self.hub.hf_dataset is None

    @property
    def folders(self) -> list[WeightedFolder]:
        """The data folders, or names of data sets, with their weights."""
        return data_folders(self.data, self.hub)


def options_file(adapter_file: str | PathLike) -> Path:
    """Return the file for the options of a run, beside its adapter: adapters.npz -> adapters.yaml."""
    return Path(adapter_file).with_suffix(".yaml")
