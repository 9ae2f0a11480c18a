"""The options of decoding."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.text.tokenizer import TASKS

LANG_ID = "lang_id"  # the task of detecting the language, and nothing else


@documented
@dataclass(frozen=True)
class DecodingOptions:
    """Options for decoding one window.

    Raises:
        OptionError: a value is out of range, or values exclude each other.
    """

    task: str = option(
        "transcribe",
        f"Whether to write the transcript in the language spoken, or translate it to English. {LANG_ID} detects the "
        "language only.",
        choices=(*TASKS, LANG_ID),
    )
    language: str | None = option(
        None, "Spoken language, as a code (te) or an English name (telugu).", shown_default="detected"
    )
    temperature: float = option(
        0.0,
        "At 0, take the most likely token at every step. Above 0, sample at this temperature.",
        minimum=0,
        maximum=100,
    )
    sample_len: int | None = option(
        None,
        "Maximum number of tokens that a window's transcript has.",
        minimum=1,
        shown_default="half of the model's text context, which is 224",
    )
    best_of: int | None = option(
        None,
        "Number of sequences to sample at a temperature above 0. The most likely one is kept.",
        minimum=1,
        maximum=100,
        shown_default="1",
    )
    beam_size: int | None = option(
        None,
        "Number of beams in beam search, at temperature 0.",
        minimum=1,
        maximum=100,
        shown_default="no beam search",
    )
    patience: float | None = option(
        None,
        "Factor of the beam size: beam search stops once that many sequences have finished (Kasai et al., 2022).",
        above=0,
        maximum=100,
        metavar="FACTOR",
        shown_default="1",
    )
    length_penalty: float | None = option(
        None,
        "Alpha, from 0 to 1, of the length penalty of Wu et al. (2016) for comparing sequences. 0 favors short ones.",
        minimum=0,
        maximum=1,
        metavar="ALPHA",
        shown_default="sequences are compared by the mean log-probability of a token",
    )
    prompt: str | Sequence[int] | None = option(None, "Text or tokens that came before this window, as context.")
    prefix: str | Sequence[int] | None = option(None, "Text or tokens that the transcript of a window starts with.")
    suppress_tokens: str | Sequence[int] | None = option(
        "-1",
        "Token ids that are never generated, separated by commas. -1 stands for non-speech tokens, such as brackets "
        "and musical notes, or for those that the files of a fine-tuned model name. "
        "Whisper's special tokens are added unless the list is empty.",
        metavar="IDS",
    )
    suppress_blank: bool = option(True, "Forbid a transcript that starts with a space or is empty.")
    without_timestamps: bool = option(False, "Generate text only. Every segment is then an entire window.")
    max_initial_timestamp: float | None = option(
        1.0, "Latest start of the first segment, in seconds. None or 0 sets no limit.", minimum=0, metavar="SECONDS"
    )
    fp16: bool | None = option(
        None,
        "Compute in float16 instead of float32. A model is loaded in one of these types, and keeps it.",
        shown_default="True on a GPU, False on a CPU",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.best_of is not None and self.temperature == 0:
            raise OptionError("`best_of` requires a `temperature` above 0: at 0, all samples are the same")
        if self.beam_size is not None and self.temperature > 0:
            raise OptionError("`beam_size` requires `temperature` 0: above 0, `best_of` sequences are sampled instead")
        if self.patience is not None and self.beam_size is None:
            raise OptionError("`patience` requires `beam_size`: only beam search waits for more sequences")
        if self.patience is not None and round((self.beam_size or 0) * self.patience) < 1:
            raise OptionError(f"`patience` must let at least one sequence finish, got {self.patience}")
