"""The options of the training loop."""

import math
import re
from dataclasses import dataclass, replace

from mlx_whisper_lora.adapters.methods import DEFAULT_METHOD, METHODS
from mlx_whisper_lora.whisper.audio.context import AUTO, check_context, parse_context
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

# Steps if their number is not given.
PASSES, FEWEST_STEPS, MOST_STEPS = 10, 200, 10_000

# The learning rate of each optimizer, as a multiple of AdamW's. Lion moves all numbers by the rate, and AdamW most of
# them by less. Muon moves a matrix by the rate in each of its directions, of which there are few.
OPTIMIZERS = {"adamw": 1.0, "adafactor": 1.0, "lion": 0.1, "muon": 20.0}
SCHEDULES = ("cosine", "linear", "constant")
DTYPES = ("float32", "float16", "bfloat16")
SCORES = ("wer", "cer", "loss")  # of an evaluation


def _shown_rates() -> str:
    """Return the learning rates of the methods for `--help`, such as "0.001; 1e-05 for encoder, full"."""
    usual = METHODS[DEFAULT_METHOD].learning_rate
    others: dict[float, list[str]] = {}
    for name, method in METHODS.items():
        if method.learning_rate != usual:
            others.setdefault(method.learning_rate, []).append(name)
    return "; ".join([f"{usual:g}", *(f"{rate:g} for {', '.join(names)}" for rate, names in others.items())])


@dataclass(frozen=True)
class SaveEvery:
    """After how many steps, or minutes, the state of a run is saved."""

    steps: int | None = None
    minutes: float | None = None

    @staticmethod
    def parse(text: str) -> "SaveEvery":
        """Parse a number of steps, "200", or of minutes, "10m".

        Raises:
            OptionError: it is neither.
        """
        if re.fullmatch(r"[0-9]{1,9}", text) and int(text):
            return SaveEvery(steps=int(text))
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?m", text) and float(text[:-1]):
            return SaveEvery(minutes=float(text[:-1]))
        raise OptionError(f"`save_every` must be a number of steps (200) or of minutes (10m), got {text!r}")

    def is_due(self, iteration: int, seconds: float) -> bool:
        """Return whether to save after a step, so many seconds after the last time."""
        if self.steps is not None:
            return iteration % self.steps == 0
        return self.minutes is not None and seconds >= 60 * self.minutes


@documented
@dataclass(frozen=True)
class TrainingOptions:
    """The settings of training.

    Raises:
        OptionError: a value is out of range.
    """

    iters: int | None = option(
        None,
        "Number of training steps.",
        minimum=1,
        maximum=10_000_000,
        shown_default=f"{PASSES} passes over the clips, but from {FEWEST_STEPS} to {MOST_STEPS} steps",
        instead_of="epochs",
    )
    epochs: float | None = option(
        None,
        "Number of passes over the clips, in place of a number of steps.",
        above=0,
        maximum=100_000,
        shown_default="the number of steps decides",
        instead_of="iters",
    )
    batch_size: int = option(2, "Number of clips that are computed together.", minimum=1, maximum=4096)
    grad_accumulation_steps: int = option(
        1,
        "Number of such batches in a step. The step is that of a batch as large as all of them, in the memory of one.",
        minimum=1,
        maximum=4096,
    )
    optimizer: str = option(
        "adamw",
        "Optimizer. With muon, arrays that are not matrices have AdamW.",
        choices=tuple(OPTIMIZERS),
    )
    learning_rate: float | None = option(
        None,
        "Largest learning rate.",
        above=0,
        below=math.inf,
        shown_default=f"{_shown_rates()}; with lion a tenth, and with muon {OPTIMIZERS['muon']:g} times as much",
    )
    lr_schedule: str = option(
        "cosine",
        "The learning rate after it has risen. It falls to a hundredth along a cosine, or linearly, or stays constant.",
        choices=SCHEDULES,
    )
    warmup: int | None = option(
        None,
        "Number of steps over which the learning rate rises.",
        minimum=0,
        shown_default="a tenth of the steps, up to 50",
    )
    weight_decay: float = option(0.01, "Weight decay.", minimum=0, maximum=100)
    label_smoothing: float = option(
        0.0,
        "Share of the probability of each label token that is spread over all tokens. The loss of validation has none.",
        minimum=0,
        below=1,
        metavar="SHARE",
    )
    dtype: str | None = option(
        None,
        "Type of numbers that the base computes in. Adapters have float32. float16 needs no scaling of the loss: it is "
        "a sum over label tokens, so that gradients are large.",
        choices=DTYPES,
        shown_default="float16 on a GPU, and float32 on a CPU, where the others are many times slower",
    )
    max_grad_norm: float = option(
        1.0, "Maximum gradient norm. Longer gradients are scaled to it.", above=0, below=math.inf
    )
    grad_checkpoint: bool = option(
        False,
        "Compute each block again for its gradient. A step takes a third more time, and a fraction of the memory.",
    )
    steps_per_report: int = option(10, "Steps between reports of the training loss.", minimum=1)
    steps_per_eval: int | None = option(
        None,
        "Steps between evaluations on the validation clips.",
        minimum=1,
        shown_default="a quarter of the steps, up to 200",
    )
    val_clips: int = option(
        100,
        "Number of validation clips to evaluate on. -1 takes all. The best adapter is chosen on them: with only a few, "
        "it may not be the best on others.",
        minimum=-1,
    )
    save_every: str = option(
        "10m",
        "When the newest adapter and the state of the run are saved, besides evaluations: after so many steps (200) or "
        "minutes (10m). A run that is cut off goes on from there with --resume.",
        metavar="N",
    )
    keep_last: int = option(
        0,
        "Number of evaluations whose adapters are kept, apart from the best and the newest one, in files with the step "
        "in their names, such as adapters_0000400.npz.",
        minimum=0,
        maximum=10_000,
        metavar="N",
    )
    best_by: str = option(
        "wer",
        "What the best adapter has the least of, on the validation clips. cer suits languages that are written without "
        "spaces.",
        choices=SCORES,
    )
    ema: float | None = option(
        None,
        "Decay of a moving average of the adapter's weights, such as 0.99. It is what evaluations and files have.",
        above=0,
        below=1,
        metavar="DECAY",
        shown_default="the weights of the step",
    )
    average_last: int | None = option(
        None,
        "At the end, try the mean of the adapters of so many last evaluations too. It is kept if it is the best.",
        minimum=2,
        maximum=100,
        metavar="N",
        shown_default="it is not tried",
    )
    early_stopping: int | None = option(
        None,
        "End training after so many evaluations in a row that found no better adapter.",
        minimum=1,
        metavar="N",
        shown_default="all steps are taken",
    )
    audio_context: float = option(
        AUTO,
        "Seconds of audio that the encoder sees, here and in transcription with the adapter. With auto, it sees as "
        "many as the longest clip of a batch has, and a little silence. 30 is Whisper's own.",
        metavar="SECONDS",
        parse=parse_context,
        shown_default="auto",
    )
    full_context_share: float = option(
        0.1,
        "Share of the steps on single clips in which the encoder sees 30 s all the same, so that the adapter fits "
        "other programs. Such a step takes a quarter of the clips.",
        minimum=0,
        maximum=1,
        metavar="SHARE",
    )
    pack: float = option(
        0.5,
        "Share of the text that is trained in windows of up to 30 s, of several clips of a speaker, with the time of "
        "each, as Whisper was trained. So the adapter keeps times, and long recordings. 0: single clips.",
        minimum=0,
        maximum=1,
        metavar="SHARE",
    )
    encoder_cache: float = option(
        4.0,
        "Gigabytes of the temporary folder for the states after the encoder blocks that are not adapted. They are the "
        "same at every pass, and computed once. 0 computes them every time.",
        minimum=0,
        maximum=1e6,
        metavar="GB",
    )
    feature_cache: float = option(
        4.0,
        "Gigabytes of the temporary folder for the log-mels of clips, 115 MB an hour of speech. Those beyond it are "
        "computed at every pass, ahead of the step.",
        minimum=0,
        maximum=1e6,
        metavar="GB",
    )
    timestamps_share: float = option(
        0.5,
        "Share of the clips, and of the windows of several clips, that are trained with timestamps, so that "
        "transcription keeps them. A single clip lasts from 0.00 to its end.",
        minimum=0,
        maximum=1,
        metavar="SHARE",
    )
    seed: int = option(
        0, "Seed of the adapter's weights, the order of the clips and dropout.", minimum=0, maximum=2**64 - 1
    )

    def __post_init__(self):
        check_ranges(self)
        check_context(self.audio_context)
        SaveEvery.parse(self.save_every)
        if self.val_clips == 0:
            raise OptionError("`val_clips` must be at least 1, or -1 for all, got 0")
        if self.iters is not None and self.epochs is not None:
            raise OptionError("`iters` and `epochs` exclude each other: give one of them")

    @property
    def clips_per_step(self) -> int:
        """The number of clips in a step, if there are as many."""
        return self.batch_size * self.grad_accumulation_steps

    def resolve(self, n_clips: int, method: str = DEFAULT_METHOD) -> "TrainingOptions":
        """Return the options with the numbers of steps, and the learning rate, that are not given.

        Args:
            n_clips: the number of training clips.
            method: the method of training, by its name in METHODS.

        Raises:
            ValueError: there are no clips.
        """
        if n_clips < 1:
            raise ValueError("there are no clips to train on")
        steps_per_epoch = n_clips / min(self.clips_per_step, n_clips)
        if self.epochs is not None:
            iters = max(round(self.epochs * steps_per_epoch), 1)
        else:
            iters = self.iters or min(max(PASSES * math.ceil(steps_per_epoch), FEWEST_STEPS), MOST_STEPS)
        warmup = min(iters // 10, 50) if self.warmup is None else min(self.warmup, iters)
        steps_per_eval = self.steps_per_eval or min(max(iters // 4, 1), 200)
        rate = self.learning_rate or METHODS[method].learning_rate * OPTIMIZERS[self.optimizer]
        return replace(self, iters=iters, epochs=None, warmup=warmup, steps_per_eval=steps_per_eval, learning_rate=rate)
