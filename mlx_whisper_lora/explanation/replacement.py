"""Log-mels without content, for what is removed from a log-mel."""

import numpy as np
import scipy.ndimage

_BLUR = (16.0, 8.0)  # standard deviations, in frames and in mel bands


def blurred(mel: np.ndarray) -> np.ndarray:
    """Return a log-mel (F, n_mels) without its detail: words are lost, and loudness and timbre stay."""
    return scipy.ndimage.gaussian_filter(mel, _BLUR, mode="nearest")


def silent(mel: np.ndarray) -> np.ndarray:
    """Return a log-mel like `mel` of silence: its smallest value everywhere."""
    return np.full_like(mel, mel.min())
