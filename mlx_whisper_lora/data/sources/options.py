"""How the data of a run is read: the columns of tables, and their usual names."""

from dataclasses import dataclass

from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

AUDIO_COLUMNS = ("file_name", "audio", "audio_filepath", "audio_file", "path")
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
LABEL_COLUMNS = ("label", "dialect", "accent", "class")
LANGUAGE_COLUMNS = ("language", "locale", "lang")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


@documented
@dataclass(frozen=True)
class SourceOptions:
    """The columns of tables, and the splits of a data set."""

    audio_column: str | None = option(
        None,
        "Column with the path of the recording.",
        metavar="NAME",
        shown_default="one of the usual names: " + ", ".join(AUDIO_COLUMNS),
    )
    text_column: str | None = option(
        None,
        "Column with the text; in a TextGrid, the tier.",
        metavar="NAME",
        shown_default="one of the usual names: " + ", ".join(TEXT_COLUMNS),
    )
    language_column: str | None = option(
        None,
        "Column with the language.",
        metavar="NAME",
        shown_default=", ".join(LANGUAGE_COLUMNS[:-1]) + f" or {LANGUAGE_COLUMNS[-1]}, if there is one",
    )
    speaker_column: str | None = option(
        None,
        "Column with the speaker.",
        metavar="NAME",
        shown_default=", ".join(SPEAKER_COLUMNS[:-1]) + f" or {SPEAKER_COLUMNS[-1]}, if there is one",
    )
    translation_column: str | None = option(
        None,
        "Column with the translation of the clip into English, which is then its text, and its task is translate. "
        "Transcripts are not trained on. Rows without a translation are left out.",
        metavar="NAME",
        shown_default="none",
    )
    task_column: str | None = option(
        None,
        "Column that says of each clip what its text is: transcribe for a transcript, translate for a translation into "
        "English. An empty one has the task of the run.",
        metavar="NAME",
        shown_default="none",
    )
    common_voice_validated: bool = option(
        False,
        "Train on all validated clips of a Common Voice release, without those of dev.tsv and test.tsv, instead of on "
        "train.tsv. Speakers and sentences of dev and test then occur in training too.",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.text_column is not None and self.translation_column is not None:
            raise OptionError("`text_column` and `translation_column` exclude each other: a clip has one text")
        if self.task_column is not None and self.translation_column is not None:
            raise OptionError("`task_column` and `translation_column` exclude each other: a clip has one task")

    @property
    def audio_columns(self) -> tuple[str, ...]:
        """The names that the column of recordings can have; the first that a table has counts."""
        return _names(self.audio_column, AUDIO_COLUMNS)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The names that the column of texts, or of translations, can have."""
        return _names(self.translation_column or self.text_column, TEXT_COLUMNS)

    @property
    def text_option(self) -> str:
        """The option that names the column of texts."""
        return "text_column"

    @property
    def task(self) -> str | None:
        """The task that the columns ask for; None if they leave it open."""
        return "translate" if self.translation_column is not None else None

    @property
    def language_columns(self) -> tuple[str, ...]:
        """The names that the column of languages can have."""
        return _names(self.language_column, LANGUAGE_COLUMNS)

    @property
    def speaker_columns(self) -> tuple[str, ...]:
        """The names that the column of speakers can have."""
        return _names(self.speaker_column, SPEAKER_COLUMNS)


@documented
@dataclass(frozen=True)
class LabelOptions(SourceOptions):
    """The same for clips with labels, such as dialects. The label of a clip is its text."""

    label_column: str | None = option(
        None,
        "Column with the label, such as the dialect or the accent.",
        metavar="NAME",
        shown_default="one of the usual names: " + ", ".join(LABEL_COLUMNS),
    )

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The names that the column of labels can have."""
        return _names(self.label_column, LABEL_COLUMNS)

    @property
    def text_option(self) -> str:
        """The option that names the column of labels."""
        return "label_column"


def column_name(name: str) -> str:
    """Return the name of a column without what does not count: "File Name" is file_name."""
    return "_".join(name.casefold().split())


def _names(given: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if given is None else (column_name(given),)
