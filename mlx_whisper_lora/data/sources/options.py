"""How the data of a run is read."""

from dataclasses import dataclass

from mlx_whisper_lora.whisper.option import check_ranges, documented, option


@documented
@dataclass(frozen=True)
class SourceOptions:
    """The columns of tables, and the splits of a data set."""

    audio_column: str | None = option(
        None,
        "Column with the path of the recording.",
        metavar="NAME",
        shown_default="one of the usual names",
    )
    text_column: str | None = option(
        None, "Column with the text.", metavar="NAME", shown_default="one of the usual names"
    )
    language_column: str | None = option(
        None, "Column with the language.", metavar="NAME", shown_default="language or locale, if there is one"
    )
    speaker_column: str | None = option(
        None,
        "Column with the speaker.",
        metavar="NAME",
        shown_default="speaker, speaker_id or client_id, if there is one",
    )

    def __post_init__(self):
        check_ranges(self)
