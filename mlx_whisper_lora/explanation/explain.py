"""Explain what a model hears in a clip: from samples to maps with their curves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.attention import attention_maps
from mlx_whisper_lora.explanation.curves import Curves, measure_curves
from mlx_whisper_lora.explanation.gradients import gradient_maps, integrated_maps
from mlx_whisper_lora.explanation.masks import mask_maps
from mlx_whisper_lora.explanation.options import (
    ALL,
    ATTENTION,
    CHEAP,
    GRADIENT,
    INTEGRATED,
    MASK,
    ExplanationOptions,
)
from mlx_whisper_lora.explanation.targets import Targets, transcript_targets
from mlx_whisper_lora.explanation.transcript import Part, Transcript, find_transcript
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.transcription.word_timing import WordTiming

MapMaker = Callable[[Targets, np.ndarray], np.ndarray]  # of targets and a log-mel (F, n_mels): maps (T, F, n_mels)


@dataclass(frozen=True)
class Map:
    """What the score of a target rests on, by a method."""

    target: str
    method: str
    score: float  # of the clip, in nats
    values: np.ndarray  # (F, n_mels); the prediction rests on large ones, and negative ones speak against it
    curves: Curves


def makers(options: ExplanationOptions) -> dict[str, MapMaker]:
    """Return the methods that explain any target, by their names."""
    return {
        MASK: lambda targets, mel: mask_maps(targets, mel, options.mask_steps, options.seed),
        GRADIENT: gradient_maps,
        INTEGRATED: integrated_maps,
    }


def explain_targets(targets: Targets, mel: np.ndarray, methods: Mapping[str, MapMaker], seed: int) -> Iterator[Map]:
    """Explain targets with each method.

    Args:
        targets: T predictions.
        mel: the log-mel of a clip, shape (F, n_mels).
        methods: by name.
        seed: of the random maps beside those of a method.

    Yields:
        For one method after another, the map of each target.
    """
    (scores,) = np.array(targets.scores(mx.array(mel)[None]))
    for method, make in methods.items():
        maps = make(targets, mel)
        curves = measure_curves(targets, mel, maps, seed)
        for target, score, values, its_curves in zip(targets.names, scores, maps, curves, strict=True):
            yield Map(target, method, float(score), values, its_curves)


@dataclass(frozen=True)
class Explanation:
    """What is predicted of a clip, and what that rests on."""

    mel: np.ndarray  # of the clip, shape (F, n_mels)
    transcript: Transcript | None  # None if a class is predicted
    maps: list[Map]
    predicted: str  # the text, or the class with its probability

    @property
    def words(self) -> list[WordTiming]:
        """The words of the transcript, if there is one."""
        return self.transcript.words if self.transcript else []


def explain(
    model: Whisper, mel: np.ndarray, options: ExplanationOptions, language: str | None = None, task: str = "transcribe"
) -> Explanation:
    """Explain the transcript of a clip, its language and its words.

    Args:
        model: the model, in float32: small gradients vanish in float16.
        mel: the log-mel of the clip, shape (F, n_mels), of up to 30 s.
        options: what is explained, and how.
        language: a code or a name; None detects it.
        task: "transcribe" or "translate".

    Raises:
        ValueError: the model hears nothing, or lacks the language or the task.
        OptionError: a word that is to be explained is not in the transcript.
    """
    transcript = find_transcript(model, mx.array(mel), language, task, options.text)
    parts = transcript.parts(options.words or [ALL])
    maps: list[Map] = []
    for chosen, names in (
        ([transcript.whole()], options.methods),
        (parts, [name for name in options.methods if options.words or name in CHEAP]),
    ):
        maps += _explain_parts(model, mel, transcript, chosen, names, options) if chosen else []
    return Explanation(mel, transcript, maps, transcript.text)


def _explain_parts(
    model: Whisper,
    mel: np.ndarray,
    transcript: Transcript,
    parts: list[Part],
    names: Sequence[str],
    options: ExplanationOptions,
) -> Iterator[Map]:
    methods = makers(options) | {ATTENTION: lambda _, mel: attention_maps(model, transcript, parts, mel)}
    targets = transcript_targets(model, transcript, parts, len(mel))
    return explain_targets(targets, mel, {name: methods[name] for name in names}, options.seed)
