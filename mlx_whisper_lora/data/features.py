"""Turn audio into the log-mel frames that the encoder reads."""

import numpy as np

from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel


def clip_frames(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Compute the log-mel frames of a clip, as transcription computes them.

    Args:
        samples: 16 kHz samples, shape (n_samples,).
        n_mels: The number of mel bands.

    Returns:
        Frames of 10 ms, shape (n_samples // 160, n_mels), float32.
    """
    mel = SpooledLogMel(samples, n_mels)
    return np.array(mel.window(0, mel.n_frames))
