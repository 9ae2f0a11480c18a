"""Teach an encoder short windows, without texts.

Whisper's encoder was trained on windows of 30 s, and its features of a shorter one mislead the decoder. An adapter of
the encoder learns to compute, in a window of little more than a clip's length, the features that the base computes for
it in 30 s (distillation from the model itself). The decoder is left as it is.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import NamedTuple

import mlx.core as mx
import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.batches import batched
from mlx_whisper_lora.data.features import clip_frames
from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION, N_FRAMES, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.context import AUTO, context_frames
from mlx_whisper_lora.whisper.audio.load import audio_blocks, pad_or_trim
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.stopping import at_stop

SHORTEST, LONGEST = 1.0, 15.0  # seconds of a stretch
_HELD_OUT = 10  # every tenth stretch is not trained on


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording, and what the base makes of it in a window of 30 s."""

    mel: np.ndarray  # shape (F, n_mels)
    features: np.ndarray  # shape (P, D), float16, for as many positions as its short window has

    @property
    def n_targets(self) -> int:
        """The number of positions that are learned."""
        return len(self.features)


class FeatureBatch(NamedTuple):
    """Stretches padded to one shape."""

    mel: mx.array  # (B, F, n_mels)
    features: mx.array  # (B, P, D), to be computed
    learned: mx.array  # (B, P, 1), 1 at positions that count, else 0


def cut(recordings: Sequence[str | PathLike], seed: int) -> Iterator[np.ndarray]:
    """Cut recordings into stretches of random length, one after another.

    Args:
        recordings: audio files.
        seed: fixes the lengths.

    Yields:
        16 kHz samples, shape (n_samples,), of 1 to 15 s.

    Raises:
        AudioError: a recording cannot be read.
    """
    rng = np.random.default_rng(seed)
    for recording in tqdm(recordings, desc="Reading recordings", disable=None, leave=False):
        samples, length = np.zeros(0, np.float32), 0
        for block in audio_blocks(recording):
            samples = np.concatenate([samples, block])
            length = length or round(rng.uniform(SHORTEST, LONGEST) * SAMPLE_RATE)
            while len(samples) >= length:
                yield samples[:length]
                samples, length = samples[length:], round(rng.uniform(SHORTEST, LONGEST) * SAMPLE_RATE)
        if len(samples) >= SHORTEST * SAMPLE_RATE:
            yield samples


def build_stretches(model: Whisper, recordings: Sequence[str | PathLike], seed: int) -> list[Stretch]:
    """Cut recordings into stretches, and compute their features in windows of 30 s with a plain model.

    An hour takes about 300 MB of memory for a model of base's width.
    """
    stretches = []
    for samples in cut(recordings, seed):
        mel = clip_frames(samples, model.dims.n_mels)
        positions = context_frames(len(mel), AUTO) // FRAMES_PER_POSITION
        features = model.encode(mx.array(pad_or_trim(mel, N_FRAMES, axis=0))[None])[0, :positions]
        stretches.append(Stretch(mel, np.array(features.astype(mx.float16))))
    return stretches


def make_feature_batch(stretches: Sequence[Stretch], frames: int | None = None) -> FeatureBatch:
    """Pad stretches to one batch of `frames` mel frames, by default as many as the longest needs."""
    frames = frames or context_frames(max(len(each.mel) for each in stretches), AUTO)
    positions = frames // FRAMES_PER_POSITION
    mel = np.stack([pad_or_trim(each.mel, frames, axis=0) for each in stretches])
    features = np.stack([pad_or_trim(each.features, positions, axis=0) for each in stretches])
    learned = np.arange(positions) < np.array([each.n_targets for each in stretches])[:, None]
    return FeatureBatch(*(mx.array(array.astype(np.float32)) for array in (mel, features, learned[..., None])))


def feature_loss(model: Whisper, batch: FeatureBatch) -> mx.array:
    """Return the squared distance of the features from those to be computed, per dimension, summed over positions."""
    difference = (model.encode(batch.mel).astype(mx.float32) - batch.features) * batch.learned
    return (difference**2).mean(axis=-1).sum()


def relative_distance(model: Whisper, stretches: Sequence[Stretch]) -> float:
    """Return the distance of the features of stretches from those in 30 s, as a share of the latter's length."""
    error = length = 0.0
    for some in batched(sorted(stretches, key=lambda each: len(each.mel)), 8):
        batch = make_feature_batch(some)
        error += feature_loss(model, batch).item()
        length += (batch.features**2).mean(axis=-1).sum().item()
    return math.sqrt(error / length)


def teach_short_context(
    model: Whisper,
    base_name: str,
    recordings: Sequence[str | PathLike],
    adapter_file: str | PathLike,
    settings: LoRAConfig,
    training: TrainingOptions,
    callback: Callback,
    on_distance: Callable[[int, float], None],
) -> None:
    """Train an adapter of the encoder for short windows, and save it.

    Args:
        model: the base.
        base_name: the name that it was loaded by.
        recordings: audio files of any content, best in the languages that will be transcribed.
        adapter_file: the file to write.
        settings: the configuration of the adapter, with `decoder_layers` 0: the decoder has nothing to learn.
        training: how to train.
        callback: gets the reports of steps.
        on_distance: called with the iteration and the relative distance on stretches that are not trained on.

    Raises:
        AudioError: a recording cannot be read.
        OptionError: the recordings are too short.
        FloatingPointError: the loss is not finite.
        OSError: the file cannot be written.
    """
    stretches = build_stretches(model, recordings, training.seed)
    held_out = stretches[::_HELD_OUT]
    learned = [each for i, each in enumerate(stretches) if i % _HELD_OUT]
    if not learned:
        raise OptionError(f"the recordings have {len(stretches)} stretches of 1 to 15 s; give longer ones, or more")
    training = replace(training, timestamps_share=0.0, audio_context=AUTO).resolve(len(learned))
    config = AdapterConfig(settings, None, "transcribe", AUTO, Base.of(model, base_name))
    on_distance(0, relative_distance(model, held_out))
    mx.random.seed(training.seed)
    add_adapter(model, settings)
    with at_stop(lambda error: save_adapter(adapter_file, model, config)):
        train(
            model,
            learned,
            training,
            lambda iteration: on_distance(iteration, relative_distance(model, held_out)),
            callback,
            collate=make_feature_batch,
            loss_function=feature_loss,
        )
    save_adapter(adapter_file, model, config)
