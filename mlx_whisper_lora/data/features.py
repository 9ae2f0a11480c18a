"""One training example: the log-mel frames the encoder sees and the tokens the decoder learns to give."""

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, HOP_LENGTH, N_FFT, N_FRAMES
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram


def clip_frames(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Log-mel frames of a clip of at most 30 s, shape (F, n_mels), float16, F even.

    They are the first F frames of the 30 s window that the clip would be padded to; `pad_frames` gives the rest.
    """
    silence = N_FFT // 2 + HOP_LENGTH  # after this many zeros no frame touches the clip
    frames = -(-(len(samples) + silence) // HOP_LENGTH)
    frames = min(frames + frames % 2, N_FRAMES)
    padded = np.pad(samples, (0, (frames + 1) * HOP_LENGTH + silence - len(samples)))
    return np.array(log_mel_spectrogram(padded, n_mels)[:frames]).astype(np.float16)


def context_frames(seconds: float) -> int | None:
    """The mel frames, an even number, of an audio context of so many seconds; None for 0, as many as needed."""
    return round(seconds * FRAMES_PER_SECOND / 2) * 2 or None


def pad_frames(mel: np.ndarray, frames: int) -> np.ndarray:
    """Lengthen log-mel frames (F, n_mels) to (frames, n_mels) by what digital silence would give, or cut them.

    Silence is 1e-10 of power, or 8 below the recording's maximum, whichever is more, scaled as (x + 4) / 4.
    """
    silence = max(float(mel.max()) - 2.0, -1.5)
    missing = max(frames - len(mel), 0)
    return np.pad(mel[:frames], ((0, missing), (0, 0)), constant_values=silence)
