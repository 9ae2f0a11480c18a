"""Evaluate a model on clips: loss, word error rate and character error rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.adapters.record import Scores
from mlx_whisper_lora.data.batches import batch_frames, batched, make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.training.metrics import (
    Interval,
    character_error_interval,
    character_error_rate,
    word_error_interval,
    word_error_rate,
)
from mlx_whisper_lora.training.options import SCORES
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.whisper.audio.log_mel import ArrayLogMel
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.terminal import progress_bar
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.long_form import Transcription
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.windows import transcribe_side_by_side

_BAR_FORMAT = "{desc}: {percentage:3.0f} %|{bar}| [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Evaluation(Result):
    """How well clips are transcribed."""

    loss: float  # nats per label token
    wer: float  # word error rate, in per cent
    cer: float  # character error rate, in per cent
    hypotheses: list[str]  # the transcripts, in the order of the dataset
    normalizer: str = "unicode"  # the key of NORMALIZERS that made the texts alike
    wer_interval: Interval | None = None  # of 95 %, in per cent
    cer_interval: Interval | None = None

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "Evaluation":
        """Return what `asdict` made a dictionary of, after JSON.

        Raises:
            KeyError, TypeError: it is not such a dictionary.
        """
        intervals = {name: stored[name] and Interval(*stored[name]) for name in ("wer_interval", "cer_interval")}
        return Evaluation(**stored | intervals)

    @property
    def numbers(self) -> dict[str, float]:
        return {"loss": self.loss, "wer": self.wer, "cer": self.cer}

    @property
    def costs(self) -> dict[str, float]:
        return {name: self.numbers[name] for name in SCORES}

    def summary(self) -> str:
        return f"WER {self.wer:.2f} %, CER {self.cer:.2f} %"

    def recorded(self, config: AdapterConfig, base: "Evaluation | None") -> AdapterConfig:
        if not (config.record and base and self.wer_interval and self.cer_interval):
            return config
        scores = Scores(
            clips=len(self.hypotheses),
            wer=self.wer,
            wer_interval=self.wer_interval,
            cer=self.cer,
            cer_interval=self.cer_interval,
            base_wer=base.wer,
            base_cer=base.cer,
        )
        return replace(config, record=replace(config.record, scores=scores))

    def describe(self) -> str:
        both = (("WER", self.wer, self.wer_interval), ("CER", self.cer, self.cer_interval))
        return ", ".join(
            f"{name} {rate:.2f} %" + (f" ({interval.low:.2f} to {interval.high:.2f})" if interval else "")
            for name, rate, interval in both
        )


def evaluate(
    model: Whisper,
    dataset: Sequence[Example],
    options: TranscriptionOptions | None = None,
    batch_size: int = 8,
    description: str = "Evaluating",
    normalizer: str | None = None,
    world: World | None = None,
) -> Evaluation:
    """Compute the loss of clips, and transcribe them.

    Args:
        model: the model.
        dataset: the examples.
        options: how to transcribe. The language is that of each clip, and so is the task if it has one.
        batch_size: number of clips to decode together. The transcripts do not depend on it.
        description: a title for the progress bar.
        normalizer: a key of NORMALIZERS. By default, "english" if all texts are English and "unicode" if not: Whisper
            writes "3" where English data sets write "three".
        world: the processes that share the work. All of them call this, and get the same result. By default, this one
            works alone.
    """
    hypotheses = transcribe_examples(model, dataset, options or TranscriptionOptions(), batch_size, description, world)
    loss = mean_loss(model, dataset, batch_size, world)
    return score(dataset, hypotheses, loss, normalizer or usual_normalizer(dataset))


def score(dataset: Sequence[Example], hypotheses: list[str], loss: float, normalizer: str) -> Evaluation:
    """Return the error rates of the transcripts of clips, with intervals of 95 % by a bootstrap over clips.

    Args:
        dataset: the examples.
        hypotheses: the transcript of each.
        loss: the mean over their label tokens, in nats.
        normalizer: a key of NORMALIZERS.
    """
    texts = [example.text for example in dataset], hypotheses, NORMALIZERS[normalizer]
    return Evaluation(
        loss=loss,
        wer=word_error_rate(*texts),
        cer=character_error_rate(*texts),
        hypotheses=hypotheses,
        normalizer=normalizer,
        wer_interval=word_error_interval(*texts),
        cer_interval=character_error_interval(*texts),
    )


def usual_normalizer(dataset: Sequence[Example]) -> str:
    """Return the key of NORMALIZERS that suits the texts of a dataset: "english" if all are English, or "unicode"."""
    english = all(example.language in ("en", None) or example.task == "translate" for example in dataset)
    return "english" if english else "unicode"


def transcribe_examples(
    model: Whisper,
    dataset: Sequence[Example],
    options: TranscriptionOptions,
    batch_size: int,
    description: str,
    world: World | None = None,
) -> list[str]:
    """Return the text of each clip, as `transcribe` gives it for the clip alone. The processes of a world share it."""
    order = sorted(range(len(dataset)), key=lambda i: dataset[i].n_frames)  # windows of one length share a batch
    title = description if world is None or world.speaks else None
    texts = share_work(
        lambda share: _transcribe(model, [dataset[i] for i in share], options, batch_size, title), order, world
    )
    return [text for _, text in sorted(zip(order, texts, strict=True))]


def share_work(work: Callable[[list], list], items: list, world: World | None) -> list:
    """Return what `work` returns for a list of items. Each process of a world does it for its share of them."""
    if world is None:
        return work(items)
    with world.together():
        return world.collect(work(world.share(items)))


def _transcribe(
    model: Whisper, dataset: Sequence[Example], options: TranscriptionOptions, batch_size: int, description: str | None
) -> list[str]:
    """Return the text of each clip. Without a description, there is no progress bar."""
    segments: list[list[Segment]] = [[] for _ in dataset]
    readers = (  # made when they are needed, so that few log-mels are in memory
        Transcription(model, ArrayLogMel(example.mel), _options_for(example, options)).reader() for example in dataset
    )
    frames = sum(example.n_frames for example in dataset)
    with progress_bar(total=frames, desc=description, bar_format=_BAR_FORMAT, disable=description is None) as bar:
        for i, step in transcribe_side_by_side(readers, batch_size):
            segments[i] += step.segments
            bar.update(step.n_frames)
    tokenizers = (model.tokenizer(example.language, example.task or options.task) for example in dataset)
    return [
        tokenizer.decode([token for segment in found for token in segment.tokens]).strip()
        for tokenizer, found in zip(tokenizers, segments, strict=True)
    ]


def _options_for(example: Example, options: TranscriptionOptions) -> TranscriptionOptions:
    return replace(options, language=example.language, task=example.task or options.task)


def mean_loss(model: Whisper, dataset: Sequence[Example], batch_size: int, world: World | None = None) -> float:
    """Return the cross-entropy of the label tokens of clips, in nats per token, in the audio context of the model.

    Args:
        model: the model.
        dataset: the examples.
        batch_size: number of clips to compute together. The processes of a world share the batches.
        world: the processes that share the work, if it is not this one alone.
    """
    batches = list(batched(sorted(dataset, key=lambda example: example.n_frames), batch_size))
    losses = share_work(lambda share: [_sum_loss(model, batch) for batch in share], batches, world)
    return sum(losses) / max(sum(example.n_targets for example in dataset), 1)


def _sum_loss(model: Whisper, examples: Sequence[Example]) -> float:
    examples = [each.loaded() for each in examples]
    batch = make_batch(examples, batch_frames(examples, model.audio_context))
    return cross_entropy_loss(model, batch).item()


def clip_loss(model: Whisper, example: Example) -> float:
    """Return the loss of one clip, as `mean_loss` does. Raise DataError if it cannot be used."""
    return _sum_loss(model, [example]) / max(example.n_targets, 1)
