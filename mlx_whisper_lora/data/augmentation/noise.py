"""Noise that is made, or comes from a folder of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import ClipFeatures, read_samples
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.lengths import header_seconds

_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"}
_VOICES = 4  # clips that sound at once in babble
_LOUDNESS = (-45.0, -15.0)  # dB of full scale, of noise without speech


@dataclass(frozen=True)
class NoiseFile:
    """A recording of noise."""

    path: Path
    seconds: float


def find_noise(folder: str) -> list[NoiseFile]:
    """Find the recordings in a folder and its subfolders.

    Raises:
        DataError: There are none, or one cannot be read.
    """
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder of noise")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.casefold() in _SUFFIXES and path.is_file())
    if not paths:
        raise DataError(f"{folder}: no recordings of noise; expected {', '.join(sorted(_SUFFIXES))}")
    files = []
    for path in paths:
        seconds = header_seconds(path)
        if not seconds:
            raise DataError(
                f"{path}: the header of this noise does not give its length; convert it to WAV or remove it"
            )
        files.append(NoiseFile(path, seconds))
    return files


@dataclass(frozen=True)
class Noise:
    """Draws noise."""

    files: Sequence[NoiseFile]  # recordings of it; without any, it is made
    examples: Sequence[Example]  # of which babble is made

    def draw(self, length: int, rng: np.random.Generator, speech: bool) -> np.ndarray:
        """Return noise of a number of samples, shape (length,), of any power. It is babble only if `speech` allows it.

        Raises:
            DataError: A recording of noise, or a clip of babble, cannot be decoded.
        """
        if self.files:
            return self._from_file(length, rng)
        kind = rng.choice(["white", "pink", "babble"] if speech else ["white", "pink"])
        if kind == "babble":
            return self._babble(length, rng)
        return make_noise(length, rng, pink=kind == "pink")

    def draw_alone(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return noise without speech as it may be recorded, at a random loudness. Raise as `draw` does."""
        noise = self.draw(length, rng, speech=False)
        if not self.files:
            noise *= 10 ** (rng.uniform(*_LOUDNESS) / 20)
        return np.clip(noise, -1, 1).astype(np.float32)

    def _from_file(self, length: int, rng: np.random.Generator) -> np.ndarray:
        file = self.files[int(rng.integers(len(self.files)))]
        start = rng.uniform(0, max(file.seconds - length / SAMPLE_RATE, 0))
        end = min(start + length / SAMPLE_RATE + 1 / SAMPLE_RATE, file.seconds)
        samples = read_samples(Clip(file.path, "", start=start, end=end), 2 * CHUNK_LENGTH)
        assert samples is not None
        return np.resize(samples, length)

    def _babble(self, length: int, rng: np.random.Generator) -> np.ndarray:
        mixture = np.zeros(length, np.float32)
        for i in rng.integers(len(self.examples), size=_VOICES):
            features = self.examples[i].features
            if isinstance(features, ClipFeatures):
                samples = features.read_samples()
                mixture += np.roll(np.resize(samples, length), rng.integers(length)) / max(float(samples.std()), 1e-6)
        return mixture


def make_noise(length: int, rng: np.random.Generator, pink: bool) -> np.ndarray:
    """Return noise of power 1, shape (length,): white, or pink, whose power falls by 3 dB an octave."""
    noise = rng.standard_normal(length)
    if pink:
        spectrum = np.fft.rfft(noise)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        spectrum[:1] = 0
        noise = np.fft.irfft(spectrum, length)
        noise /= max(float(noise.std()), 1e-9)
    return noise.astype(np.float32)
