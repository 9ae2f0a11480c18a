"""Where a recording can be cut into pieces that are decoded side by side: in its pauses."""

from dataclasses import dataclass

import numpy as np

from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND, N_FRAMES
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel

SHORTEST_PAUSE = round(0.3 * FRAMES_PER_SECOND)
SPEECH_PAD = round(0.3 * FRAMES_PER_SECOND)  # silence left before speech: Whisper wants the first words within a second
# From the lowest level (0) to the highest (1), told by percentiles: a pause begins below one and ends above the other.
EXTREMES = (5, 95)
PAUSE_BEGINS, PAUSE_ENDS = 0.15, 0.3


@dataclass(frozen=True)
class Chunk:
    """Frames `first` to `stop` of a recording, of which those from `silence_start` on are a pause."""

    first: int
    stop: int
    silence_start: int


def energy(mel: SpooledLogMel) -> np.ndarray:
    """The energy, in logarithmic units, of each frame of a recording."""
    n_frames = mel.n_frames
    blocks = [mel.window(first, min(N_FRAMES, n_frames - first)) for first in range(0, n_frames, N_FRAMES)]
    return np.concatenate([np.zeros(0), *(np.array(block.mean(axis=1)) for block in blocks)])


def find_pauses(level: np.ndarray) -> list[tuple[int, int]]:
    """First frame, and frame after the last, of each pause.

    level: shape (n_frames,), each frame's logarithmic energy or probability of speech.
    """
    if level.size == 0:
        return []
    lowest, highest = np.percentile(level, EXTREMES)
    begins, ends = (lowest + share * (highest - lowest) for share in (PAUSE_BEGINS, PAUSE_ENDS))
    below = np.concatenate([[False], level <= ends, [False]])
    pauses = []
    for first, stop in np.flatnonzero(below[1:] != below[:-1]).reshape(-1, 2).tolist():
        first += int(np.argmax(level[first:stop] <= begins))
        if stop - first >= SHORTEST_PAUSE and level[first] <= begins:
            pauses.append((first, stop))
    return pauses


def split_at_pauses(level: np.ndarray, clips: list[tuple[int, int]], longest: int) -> list[Chunk]:
    """Cut clips (first and last frame of each) into pieces of up to `longest` frames.

    Together the pieces are the clips: nothing is taken for silence and left out. Speech without a pause may make a
    piece longer.
    """
    pauses = find_pauses(level)
    pieces = []
    for clip_first, clip_stop in clips:
        inside = [(begin, end) for begin, end in pauses if clip_first < end and begin < clip_stop]
        last_quiet = next((begin for begin, end in inside if end >= clip_stop), clip_stop)
        cuts = [(end - min(SPEECH_PAD, (end - begin) // 2), begin) for begin, end in inside if end < clip_stop]
        ends = [*((cut, begin) for cut, begin in cuts if cut > clip_first), (clip_stop, last_quiet)]
        piece = Chunk(clip_first, *ends[0])
        for stop, silence_start in ends[1:]:
            first = piece.first
            if stop - first > longest:
                pieces.append(piece)
                first = piece.stop
            piece = Chunk(first, stop, silence_start)
        pieces.append(piece)
    return pieces
