"""Splitting a recording at its pauses, into chunks that can be decoded side by side."""

from dataclasses import dataclass

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, N_FRAMES
from mlx_whisper_lora.whisper.audio.log_mel import LogMel

_SHORTEST_PAUSE = round(0.3 * FRAMES_PER_SECOND)
# Silence kept before speech: Whisper expects the first words within a second.
_SPEECH_PAD = round(0.3 * FRAMES_PER_SECOND)
# On a scale from the lowest level (0) to the highest (1), a pause begins below one threshold and ends above the other.
_EXTREMES = (5, 95)  # percentiles that stand for the lowest and the highest level
_PAUSE_BEGINS, _PAUSE_ENDS = 0.15, 0.3


@dataclass(frozen=True)
class Chunk:
    """Frames `first` to `stop` of a recording. Those from `silence_start` on are a pause."""

    first: int
    stop: int
    silence_start: int


def energy(mel: LogMel) -> np.ndarray:
    """Return the logarithmic energy of each frame of a recording, shape (n_frames,)."""
    n_frames = mel.n_frames
    blocks = [mel.window(first, min(N_FRAMES, n_frames - first)) for first in range(0, n_frames, N_FRAMES)]
    return np.concatenate([np.zeros(0), *(np.array(block.mean(axis=1)) for block in blocks)])


def find_pauses(level: np.ndarray) -> list[tuple[int, int]]:
    """Find the pauses of a recording.

    Args:
        level: the logarithmic energy or the probability of speech of each frame, shape (n_frames,).

    Returns:
        The first frame of each pause, and the frame after its last.
    """
    if level.size == 0:
        return []
    lowest, highest = np.percentile(level, _EXTREMES)
    begins, ends = (lowest + share * (highest - lowest) for share in (_PAUSE_BEGINS, _PAUSE_ENDS))
    below = np.concatenate([[False], level <= ends, [False]])
    pauses = []
    for first, stop in np.flatnonzero(below[1:] != below[:-1]).reshape(-1, 2).tolist():
        first += int(np.argmax(level[first:stop] <= begins))
        if stop - first >= _SHORTEST_PAUSE and level[first] <= begins:
            pauses.append((first, stop))
    return pauses


def split_at_pauses(level: np.ndarray, clips: list[tuple[int, int]], longest: int) -> list[Chunk]:
    """Split clips into chunks at pauses.

    Together the chunks cover the clips: silence is not skipped. Speech without a pause may make a chunk longer than
    `longest`.

    Args:
        level: as for `find_pauses`.
        clips: the first frame of each clip, and the frame after its last.
        longest: maximum length of a chunk, in frames.
    """
    pauses = find_pauses(level)
    chunks = []
    for clip_first, clip_stop in clips:
        inside = [(begin, end) for begin, end in pauses if clip_first < end and begin < clip_stop]
        last_pause = next((begin for begin, end in inside if end >= clip_stop), clip_stop)
        cuts = [(end - min(_SPEECH_PAD, (end - begin) // 2), begin) for begin, end in inside if end < clip_stop]
        ends = [*((cut, begin) for cut, begin in cuts if cut > clip_first), (clip_stop, last_pause)]
        chunk = Chunk(clip_first, *ends[0])
        for stop, silence_start in ends[1:]:
            first = chunk.first
            if stop - first > longest:
                chunks.append(chunk)
                first = chunk.stop
            chunk = Chunk(first, stop, silence_start)
        chunks.append(chunk)
    return chunks
