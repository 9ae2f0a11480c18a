"""What is explained, and how."""

from dataclasses import dataclass

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

MASK, GRADIENT, INTEGRATED, ATTENTION = METHODS = ("mask", "gradient", "integrated", "attention")
CHEAP = (GRADIENT, ATTENTION)  # methods that take seconds for all words of a clip
ALL, NONE = "all", "none"


@documented
@dataclass(frozen=True)
class ExplanationOptions:
    """What is explained, and how."""

    text: str | None = option(
        None,
        "Text that is explained in the place of the model's own, such as the one that should have been heard.",
        shown_default="the transcript of the model",
    )
    words: tuple[str, ...] | None = option(
        None,
        "Words that are explained beside the whole transcript, with all methods: their numbers, from 1 on, or their "
        "texts, separated by commas. 3.2 is the second token of the third word. <|te|> explains why the language is "
        "Telugu, or is not. all stands for the language and all words, and none for the transcript alone. With a "
        "classifier: the names of classes.",
        metavar="WORDS",
        shown_default="the language and all words, with the methods that take seconds (gradient and attention), or the "
        "class that is named",
    )
    methods: tuple[str, ...] = option(
        METHODS,
        "Methods, separated by commas: mask (the smallest part that gives the prediction), gradient (times the "
        "distance from silence), integrated (gradients from silence on), attention (of the decoder, over time).",
        metavar="METHODS",
    )
    clip_start: float = option(
        0.0,
        f"Where the clip starts in a longer recording. It lasts up to {CHUNK_LENGTH} s.",
        minimum=0,
        metavar="SECONDS",
    )
    mask_steps: int = option(60, "Steps of the search for a mask.", minimum=1)
    seed: int = option(0, "Seed of the masks and of the random maps.", minimum=0)

    def __post_init__(self):
        check_ranges(self)
        if self.text is not None and not self.text.strip():
            raise OptionError("`text` is empty: give the words that are to be explained")
        for name in self.methods:
            if name not in METHODS:
                raise OptionError(f"`methods` are {', '.join(METHODS)}, got {name!r}")
