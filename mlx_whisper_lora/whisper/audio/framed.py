"""Files that are made of frames or pages and have no header with a size: MP3, AAC (ADTS), AMR and Ogg."""

import functools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mlx_whisper_lora.whisper.audio.parts import WITHIN_BLOCK, FileBytes, Part, cut_short

_RATES = [44100, 48000, 32000]  # of MPEG-1; MPEG-2 and MPEG-2.5 halve them once and twice
# Kilobits a second by bitrate index. MPEG-2 has one table for layers II and III.
# fmt: off
_KBITS = {
    (1, 3): [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    (1, 2): [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    (2, 3): [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    (2, 2): [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}
# fmt: on
_LONGEST_JUNK = 1000  # bytes after the last frame that libsndfile's decoder skips
_SYNC_FRAMES = 3  # frames in a row that show that bytes are MP3


class _Frame(NamedTuple):
    """The header of an MPEG audio frame."""

    kind: bytes  # the same in all frames of a recording
    bitrate: int  # index
    length: int  # bytes, with the header
    samples: int
    rate: int
    side_info: int  # bytes between the header and the main data, where a Xing header is


@functools.lru_cache(maxsize=4096)
def _parse_frame(header: bytes) -> _Frame | None:
    """Parse the 4 bytes before a frame of MPEG audio, layer II or III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer not in (2, 3) or bitrate in (0, 15) or rate_index == 3:
        return None
    first = version == 3
    rate = _RATES[rate_index] >> (0 if first else 1 if version == 2 else 2)
    samples = 1152 if first or layer == 2 else 576
    length = samples // 8 * 1000 * _KBITS[1 if first else 2, layer][bitrate - 1] // rate + (header[2] >> 1 & 1)
    mono = header[3] >> 6 == 3
    side_info = (17 if mono else 32) if first else (9 if mono else 17)
    kind = bytes([header[1] & 0xFE, header[2] & 0x0C, mono])
    return _Frame(kind, bitrate, length, samples, rate, side_info)


def is_mpeg_audio(data: FileBytes, start: int) -> bool:
    """Say if frames of MPEG audio begin at `start`."""
    return _find_frames(data, start, start + 1) == start


def mpeg_seconds(data: FileBytes) -> float | None:
    """Return the length of an MP3 or MP2 recording as its first frame gives it, or None if the file is not one.

    A frame without the number of frames stands for all others: the bitrate is taken as constant.
    """
    start = skip_id3(data, 0)
    frame = _parse_frame(data.at(start, 4))
    if frame is None or not is_mpeg_audio(data, start):
        return None
    info = _info_offset(data, start, frame)
    n_frames = (data.size - start) / frame.length if info is None else data.number(info, 4)
    return n_frames * frame.samples / frame.rate


def first_frame(data: FileBytes, at: int) -> int | None:
    """Return where the MP3 recording begins that has the four bytes Xing or Info at an offset, or None.

    One that follows the header of a chunk, as in a WAV of this codec, is no recording of its own.
    """
    for side_info in (32, 17, 9):
        start = at - side_info - 4
        frame = _parse_frame(data.at(start, 4)) if start >= 0 else None
        if frame and frame.side_info == side_info and is_mpeg_audio(data, start):
            return None if b"data" in data.at(max(start - 24, 0), min(start, 24)) else start
    return None


@dataclass
class _Run:
    """MPEG audio frames that follow each other without a gap."""

    start: int
    first: _Frame
    info: int | None  # offset of the number of frames that an encoder wrote into the first frame
    stop: int = 0
    n_frames: int = 0
    bitrates: set[int] = field(default_factory=set)
    cut: bool = False  # the last frame is incomplete


def mpeg_parts(data: FileBytes, start: int) -> list[Part]:
    """Find MP3 and MP2 recordings at and after `start`: each ends with a tag or at the header of another one.

    Damage splits a recording too: the number of frames in its header is that of all parts up to the next header.
    """
    groups: list[list[_Run]] = []
    for run in _runs(data, start):
        if groups and run.info is None:
            groups[-1].append(run)
        else:
            groups.append([run])
    parts = [part for group in groups for part in _mpeg_parts(data, group)]
    if len(parts) == 1 and not parts[0].head and data.size - parts[0].stop < _LONGEST_JUNK:
        return [Part(0, data.size, fault=parts[0].fault)]  # tags, or the beginning of a frame, do no harm
    return parts or [Part(0, data.size)]


def _mpeg_parts(data: FileBytes, runs: list[_Run]) -> Iterator[Part]:
    first, last = runs[0], runs[-1]
    promised = None if first.info is None else data.number(first.info, 4)
    there = sum(run.n_frames for run in runs) - 1  # the number does not count its own frame
    for run in runs:
        body, head = None, b""
        if run is first and promised is not None and promised < run.n_frames - 2:
            head = _corrected_info(data, run)
            body = run.start + len(head)
        elif run.info is None and len(run.bitrates) > 1:
            body, head = run.start, _info_frame(data, run)
        fault = WITHIN_BLOCK if run.cut else None
        if run is last and promised is not None and abs(promised - there) < 2:
            fault = None
        elif run is last and promised is not None and promised > there:
            seconds = [n * first.first.samples / first.first.rate for n in (promised, there)]
            fault = cut_short(f"its header promises {seconds[0]:.1f} s, and {seconds[1]:.1f} s are there")
        yield Part(run.start, run.stop, head=head, body=body, fault=fault)


def _runs(data: FileBytes, position: int) -> Iterator[_Run]:
    while (position := _find_frames(data, position, data.size)) >= 0:
        frame = _parse_frame(data.at(position, 4))
        assert frame is not None
        run = _Run(position, frame, _info_offset(data, position, frame))
        last = position
        while (frame := _parse_frame(data.at(position, 4))) and frame.kind == run.first.kind:
            if position > run.start and _info_offset(data, position, frame):
                break
            last, position = position, position + frame.length
            run.n_frames += 1
            run.bitrates.add(frame.bitrate)
        run.stop = position
        following = _find_frames(data, last + 4, position) if frame is None else -1
        if position > data.size or following >= 0:  # the file ends, or other frames begin, inside the last frame
            run.stop, run.cut = last, True
            run.n_frames -= 1
            position = following
        if run.n_frames or run.info is not None:
            yield run


def _find_frames(data: FileBytes, position: int, stop: int) -> int:
    """Return the offset before `stop` of the next three frames in a row, or of the last frames of the file, or -1."""
    while 0 <= position < stop:
        if data.at(position, 3) == b"ID3":
            position = skip_id3(data, position)
            stop = max(stop, position + 1)
        elif _is_in_sync(data, position):
            return position
        else:
            position = data.find(b"\xff", position + 1)
    return -1


def _is_in_sync(data: FileBytes, position: int) -> bool:
    kinds = []
    for _ in range(_SYNC_FRAMES):
        frame = _parse_frame(data.at(position, 4))
        if frame is None:
            return False
        kinds.append(frame.kind)
        position += frame.length
        if position >= data.size or data.at(position, 3) in (b"TAG", b"ID3", b"APE"):
            break
    return len(set(kinds)) == 1


def skip_id3(data: FileBytes, position: int) -> int:
    """Return the offset after the ID3v2 tags at `position`, or `position` if there are none."""
    while data.at(position, 3) == b"ID3":
        size = 0
        for byte in data.at(position + 6, 4):
            size = size << 7 | byte & 0x7F
        position += 10 + size
    return position


def _info_offset(data: FileBytes, position: int, frame: _Frame) -> int | None:
    """Return the offset of the number of frames in the Xing or Info header of a frame, or None."""
    offset = position + 4 + frame.side_info
    header = data.at(offset, 8)
    return offset + 8 if header[:4] in (b"Xing", b"Info") and header[-1] & 1 else None


def _corrected_info(data: FileBytes, run: _Run) -> bytes:
    """Return the first frame of a run with the number of frames that it has."""
    assert run.info is not None
    offset = run.info - run.start
    frame = data.at(run.start, run.first.length)
    return frame[:offset] + struct.pack(">I", run.n_frames - 1) + frame[offset + 4 :]


def _info_frame(data: FileBytes, run: _Run) -> bytes:
    """Return a frame with the number of frames of a run, as encoders write it for variable bitrates.

    Without it, libsndfile derives the length from the first bitrate, and stops there.
    """
    header = bytearray(data.at(run.start, 4))
    header[1] |= 1  # no checksum
    header[2] = 9 << 4 | header[2] & 0x0C  # a bitrate with enough room
    frame = _parse_frame(bytes(header))
    assert frame is not None
    content = bytes(header) + bytes(frame.side_info) + b"Xing" + struct.pack(">II", 1, run.n_frames)
    return content.ljust(frame.length, b"\0")


def adts_parts(data: FileBytes, start: int) -> list[Part]:
    """Check the last frame of AAC in ADTS, if there is one at `start`. Joined files are one stream of frames."""

    def length(position: int) -> int:
        header = data.at(position, 6)
        if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            return 0
        return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5

    return _walk_frames(data, start, length)


def amr_parts(data: FileBytes) -> list[Part]:
    """Check the last frame of AMR, narrow and wide band (RFC 4867, section 5)."""
    wide = data.at(0, 9) == b"#!AMR-WB\n"
    sizes = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5] if wide else [12, 13, 15, 17, 19, 20, 26, 31, 5]

    def length(position: int) -> int:
        kind = data.number(position, 1) >> 3 & 15
        return 1 + (sizes[kind] if kind < len(sizes) else 0)

    return _walk_frames(data, 9 if wide else 6, length)


def _walk_frames(data: FileBytes, position: int, length: Callable[[int], int]) -> list[Part]:
    while position < data.size and (step := length(position)):
        position += step
    return [Part(0, data.size, fault=WITHIN_BLOCK if position > data.size else None)]


def ogg_parts(data: FileBytes) -> list[Part]:
    """Find the links of a chained Ogg stream (RFC 3533): each begins with pages that are marked as first."""
    parts = []
    start = position = 0
    in_head, complete, ended = True, True, False
    while position < data.size:
        if data.at(position, 4) != b"OggS":
            complete = complete and ended  # zeros or other bytes after the last page do no harm
            if (position := data.find(b"OggS", position)) < 0:
                break
            continue
        is_first, is_last = data.number(position + 5, 1) & 2, data.number(position + 5, 1) & 4
        if is_first and not in_head:
            parts.append(_ogg_part(start, position, complete))
            start, complete, ended = position, True, False
        in_head, ended = bool(is_first), ended or bool(is_last)
        stop = position + 27 + data.number(position + 26, 1)
        stop += sum(data.at(position + 27, data.number(position + 26, 1)))
        if stop > data.size:
            complete = False
        elif stop < data.size and data.at(stop, 4) != b"OggS" and not ended:
            stop = position + 4  # the page is incomplete, and the next one begins inside it
        position = stop
    return [*parts, _ogg_part(start, data.size, complete)]


def _ogg_part(start: int, stop: int, complete: bool) -> Part:
    return Part(start, stop, fault=None if complete else WITHIN_BLOCK)
