"""Mask bands and moments of a log-mel (Park et al., "SpecAugment", 2019)."""

import numpy as np

_MASKS = 2  # of either kind
_WIDEST_BAND = 27 / 80  # of the mel bands
_LONGEST_SHARE, _LONGEST = 0.05, 100  # of the frames, and frames (Park et al., "SpecAugment on Large Scale Datasets")


def mask(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a log-mel (F, n_mels) with up to two bands and two moments set to its mean."""
    mel, mean = mel.copy(), mel.mean() if mel.size else 0
    for axis, longest in ((1, int(_WIDEST_BAND * mel.shape[1])), (0, min(int(_LONGEST_SHARE * len(mel)), _LONGEST))):
        for _ in range(_MASKS):
            width = int(rng.integers(0, longest + 1))
            first = int(rng.integers(0, mel.shape[axis] - width + 1))
            mel[(slice(None),) * axis + (slice(first, first + width),)] = mean
    return mel
