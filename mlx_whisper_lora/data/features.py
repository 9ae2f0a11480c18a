"""Turn audio into the log-mel frames that the encoder reads, and pad them to an audio context."""

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, HOP_LENGTH, N_FFT, N_FRAMES
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram


def clip_frames(samples: np.ndarray, n_mels: int) -> np.ndarray:
    """Compute the log-mel frames of a clip.

    They are the first F frames of the 30 s window that the clip would be padded to; `pad_frames` adds the others.

    Args:
        samples: At most 30 s of 16 kHz samples, shape (n_samples,).
        n_mels: The number of mel bands.

    Returns:
        Frames of 10 ms, shape (F, n_mels), float16; F is even.
    """
    silence = N_FFT // 2 + HOP_LENGTH  # after this many zeros no frame touches the clip
    frames = -(-(len(samples) + silence) // HOP_LENGTH)
    frames = min(frames + frames % 2, N_FRAMES)
    padded = np.pad(samples, (0, (frames + 1) * HOP_LENGTH + silence - len(samples)))
    return np.array(log_mel_spectrogram(padded, n_mels)[:frames]).astype(np.float16)


def context_frames(seconds: float) -> int | None:
    """Return the mel frames, an even number, in an audio context of `seconds`; None if `seconds` is 0.

    None means as many frames as the longest clip of a batch needs.
    """
    return round(seconds * FRAMES_PER_SECOND / 2) * 2 or None


def pad_frames(mel: np.ndarray, frames: int) -> np.ndarray:
    """Pad log-mel frames with those of digital silence, or cut them.

    Silence is 1e-10 of power, or 8 below the recording's maximum, whichever is more, scaled as (x + 4) / 4.

    Args:
        mel: Shape (F, n_mels).
        frames: The frames of the result, shape (frames, n_mels).
    """
    silence = max(float(mel.max()) - 2.0, -1.5)
    missing = max(frames - len(mel), 0)
    return np.pad(mel[:frames], ((0, missing), (0, 0)), constant_values=silence)
