"""The audio of what a mask keeps of a recording."""

import numpy as np
import scipy.signal

from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, N_FFT
from mlx_whisper_lora.whisper.audio.log_mel import mel_filters


def kept_audio(samples: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a recording in which each mel band of each frame is as loud as a mask says. The phase stays.

    Args:
        samples: 16 kHz samples of a clip, shape (n_samples,).
        mask: from 0 to 1, shape (F, n_mels), with a frame for each 160 samples.
    """
    overlap = N_FFT - HOP_LENGTH
    _, _, spectrum = scipy.signal.stft(samples, nperseg=N_FFT, noverlap=overlap)  # its frames are those of the log-mel
    gains = mask @ _shares_of_bands(mask.shape[1])
    gains = np.pad(gains, [(0, max(spectrum.shape[1] - len(gains), 0)), (0, 0)], mode="edge")
    _, kept = scipy.signal.istft(spectrum * gains[: spectrum.shape[1]].T, nperseg=N_FFT, noverlap=overlap)
    return kept[: len(samples)].astype(np.float32)


def _shares_of_bands(n_mels: int) -> np.ndarray:
    """Return how much of each frequency (N_FFT // 2 + 1) belongs to each band, shape (n_mels, frequencies)."""
    filters = mel_filters(n_mels)
    heights = filters / filters.max(axis=1, keepdims=True)
    outside = np.flatnonzero(heights.sum(axis=0) == 0)  # the lowest and the highest frequency
    heights[np.where(outside < heights.shape[1] / 2, 0, n_mels - 1), outside] = 1
    return heights / heights.sum(axis=0)
