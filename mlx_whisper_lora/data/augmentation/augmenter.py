"""Change training clips at random, in the same way whenever the same draw is made."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlx_whisper_lora.data.augmentation import effects
from mlx_whisper_lora.data.augmentation.masks import mask
from mlx_whisper_lora.data.augmentation.noise import Noise, find_noise
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import AudioFeatures
from mlx_whisper_lora.data.labels import move_end, stretch_times, transcript_tokens
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.model.whisper import Whisper


@dataclass(frozen=True)
class Draw:
    """A clip as it was changed."""

    before: np.ndarray  # 16 kHz samples, shape (n_samples,)
    samples: np.ndarray  # as they were changed
    percent: int  # of its speed
    is_noise: bool  # whether noise without speech has taken its place


class Augmenter:
    """Changes training clips. A draw depends on the seed, the clip and the number of the batch alone.

    Args:
        options: what to change.
        examples: the training clips, of which babble is made.
        model: gives the mel bands, and the labels of noise without speech.
        seed: the seed of a run.

    Raises:
        DataError: the folder of noise cannot be used.
    """

    def __init__(self, options: AugmentationOptions, examples: Sequence[Example], model: Whisper, seed: int):
        self.options, self.model, self.seed = options, model, seed
        self.noise = Noise(find_noise(options.noise_data) if options.noise_data else (), examples)

    def load(self, example: Example, number: int) -> Example:
        """Return an example as it is in a batch, with its log-mel in memory. Threads may call this.

        An example whose log-mel was given, and not its audio, gets masks alone.

        Args:
            example: the example.
            number: the number of the batch.

        Raises:
            DataError: the audio of the clip, or noise, cannot be decoded.
        """
        rng = self.rng(example, number)
        if isinstance(example.features, np.ndarray):
            return replace(example, features=self._mask(example.features, rng), audio=None)
        draw = self.draw(example.features, rng)
        mel = self._mask(clip_frames(draw.samples, self.model.dims.n_mels), rng)
        if draw.is_noise:
            label = transcript_tokens(self.model.tokenizer(example.language, "transcribe"), "")
        else:
            seconds = len(draw.before) / SAMPLE_RATE - example.seconds
            label = move_end(example.label, example.timestamp_begin, seconds)
            label = stretch_times(label, example.timestamp_begin, 100 / draw.percent)
        return replace(example.with_label(label), features=mel, audio=None)

    def rng(self, example: Example, number: int) -> np.random.Generator:
        """Return the random numbers of an example in a batch."""
        return np.random.default_rng([self.seed, example.audio or 0, zlib.crc32(example.text.encode()), number])

    def _mask(self, mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return mask(mel, rng) if self._happens("augment_masks", rng) else mel

    def _happens(self, share: str, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self.options.amount(share))

    def draw(self, features: AudioFeatures, rng: np.random.Generator) -> Draw:
        """Return a clip as it is changed, in the order in which sound is made, heard and transmitted.

        Raises:
            DataError: the audio of the clip, or noise, cannot be decoded.
        """
        amount, happens = self.options.amount, self._happens
        before = samples = features.read_samples()
        if happens("noise_share", rng):
            return Draw(before, self.noise.draw_alone(len(samples), rng), 100, True)
        percent = 100
        if amount("augment_speed"):
            slowest = 100 * len(samples) / (features.max_seconds * SAMPLE_RATE)  # the longest that fits a window
            percent = _draw_percent(amount("augment_speed"), slowest, rng)
            samples = effects.change_speed(samples, percent)
        if amount("augment_pitch"):
            samples = effects.change_pitch(samples, rng.uniform(-1, 1) * amount("augment_pitch"))
        if happens("augment_room", rng):
            samples = effects.add_room(samples, int(rng.integers(effects.ROOMS)))
        if happens("augment_noise", rng):
            noise = self.noise.draw(len(samples), rng, speech=True)
            samples = effects.add_noise(samples, noise, rng.uniform(*self.options.noise_snr))
        if amount("augment_volume"):
            samples = effects.change_volume(samples, rng.uniform(-1, 1) * amount("augment_volume"))
        if happens("augment_telephone", rng):
            samples = effects.through_telephone(samples)
        if happens("augment_codec", rng):
            samples = effects.through_codec(samples, str(rng.choice(list(effects.CODECS))), rng.uniform(0.8, 1))
        return Draw(before, samples, percent, False)


def _draw_percent(largest: float, slowest: float, rng: np.random.Generator) -> int:
    """Return a speed in per cent, changed by a share of up to `largest`, and not below `slowest` per cent."""
    low = max(round(100 * (1 - largest)), min(math.ceil(slowest), 100))
    return int(rng.integers(low, round(100 * (1 + largest)) + 1))
