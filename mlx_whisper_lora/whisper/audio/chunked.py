"""Files whose headers promise a length: WAV, AIFF, CAF, W64, AU, NIST, FLAC, True Audio, MP4, WebM, WMA and Flash.

Most are made of chunks with sizes. Each function finds the recordings in a file of its kind, and says if there are
fewer bytes, or more, than a header promises.
"""

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mlx_whisper_lora.whisper.audio.parts import WITHIN_BLOCK, FileBytes, Part, bytes_missing, cut_short

ASF_MAGIC = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
EBML_MAGIC = b"\x1a\x45\xdf\xa3"
W64_MAGIC = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_SLACK = 512  # bytes; some programs count the header, or padding, among the samples
# A size that no program has filled in: just below 2**31 or 2**32, or the largest of 64 bits, with and without sign.
_OPEN_SIZES = [(0x7FFF_0000, 0x8000_0400), (0xFFFF_0000, 0xFFFF_FFFF), (2**63 - 2**16, 2**63), (2**64 - 2**16, 2**64)]
_SHORTEST_REST = 0.5  # seconds of audio after the end that a WAV header gives


class _Chunk(NamedTuple):
    name: bytes
    header: int  # offset of its name
    body: int  # offset of its content
    size: int  # of its content, as its header gives it


def _chunks(data: FileBytes, position: int, stop: int, order: str, size_bytes: int = 4) -> Iterator[_Chunk]:
    """Walk chunks of a four-letter name, a size and a content, padded to an even length if sizes have 32 bits."""
    while position + 4 + size_bytes <= stop:
        size = data.number(position + 4, size_bytes, order)
        body = position + 4 + size_bytes
        yield _Chunk(data.at(position, 4), position, body, size)
        position = body + size + (size % 2 if size_bytes == 4 else 0)


def _is_open(size: int) -> bool:
    """Say if a size stands for "not known yet", as programs leave it that write to a pipe or die."""
    return size == 0 or any(first <= size <= last for first, last in _OPEN_SIZES)


def _bounds(
    data: FileBytes, magic: bytes, is_header: Callable[[int], bool] = lambda offset: True, start: int = 0
) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each recording and the one after its last: each begins with `magic`.

    Args:
        data: The file. A recording begins at `start`.
        magic: The bytes that every recording begins with.
        is_header: Says if a recording begins at an offset, as sizes and names after the magic bytes show.
        start: The offset of the first recording.
    """
    starts = [start, *filter(is_header, data.find_all(magic, start + 4)), data.size]
    return itertools.pairwise(starts)


def _data_part(start: int, stop: int, body: int, size: int) -> Part:
    """Return a recording whose samples are `size` bytes from `body` on."""
    if body + size > stop + _SLACK and not _is_open(size):
        return Part(start, stop, fault=bytes_missing(size, max(stop - body, 0)))
    return Part(start, stop)


def wav_parts(data: FileBytes) -> list[Part]:
    """Find WAV, RF64 and RIFX recordings, and films in AVI."""
    form = data.at(8, 4)
    find = _wav_part if form == b"WAVE" else _avi_part
    return [
        find(data, start, stop)
        for start, stop in _bounds(data, data.at(0, 4), lambda offset: data.at(offset + 8, 4) == form)
    ]


def _avi_part(data: FileBytes, start: int, stop: int) -> Part:
    return _data_part(start, stop, start + 8, data.number(start + 4, 4, "little"))


def _wav_part(data: FileBytes, start: int, stop: int) -> Part:
    order = "big" if data.at(start, 4) == b"RIFX" else "little"
    long_sizes, byte_rate = None, 1
    for chunk in _chunks(data, start + 12, stop, order):
        if chunk.name == b"ds64":
            long_sizes = chunk.body
        elif chunk.name == b"fmt ":
            byte_rate = data.number(chunk.body + 8, 4, order) or 1
        elif chunk.name == b"data":
            size = chunk.size
            if long_sizes is not None and size == 2**32 - 1:
                size = data.number(long_sizes + 8, 8, order)
            if (_is_open(size) and chunk.body + size > stop) or (
                size == 0 and not _is_chunk(data, chunk.body, stop, order)
            ):
                return _open_wav_part(data, start, stop, chunk, long_sizes, order)
            rest = _rest_after(data, chunk.body + size, stop, order)
            if rest > _SHORTEST_REST * byte_rate:
                more = f"the header promises {size:,} bytes of audio, and {rest:,} more follow"
                return Part(
                    start,
                    stop,
                    fault=f"{more}; correct the header: ffmpeg -ignore_length 1 -i old.wav -rf64 auto new.wav",
                )
            return _data_part(start, stop, chunk.body, size)
    return Part(start, stop)


def _open_wav_part(data: FileBytes, start: int, stop: int, chunk: _Chunk, long_sizes: int | None, order: str) -> Part:
    """Return a WAV recording whose samples extend to the end, with that size in its header."""
    head = bytearray(data.at(start, chunk.body - start))
    size = stop - chunk.body
    mark = ">" if order == "big" else "<"
    struct.pack_into(f"{mark}I", head, chunk.body - start - 4, min(size, 2**32 - 1))
    if long_sizes is not None:
        struct.pack_into(f"{mark}QQ", head, long_sizes - start, stop - start - 8, size)
        struct.pack_into(f"{mark}I", head, chunk.body - start - 4, 2**32 - 1)
    return Part(start, stop, head=bytes(head), body=chunk.body)


def _is_chunk(data: FileBytes, position: int, stop: int, order: str) -> bool:
    """Say if the bytes at `position` look like a chunk: four printable letters and a size that fits, or a tag."""
    name = data.at(position, 4)
    if name[:3] in (b"ID3", b"TAG"):
        return True
    fits = position + 8 + data.number(position + 4, 4, order) <= stop + _SLACK
    return name.isascii() and name.decode().isprintable() and fits


def _rest_after(data: FileBytes, position: int, stop: int, order: str) -> int:
    """Return the number of bytes after the samples that are neither chunks, tags nor zeros."""
    for first in (position + position % 2, position):  # some programs do not pad
        for chunk in _chunks(data, first, stop, order):
            if not _is_chunk(data, chunk.header, stop, order):
                break
        else:
            return 0
    return 0 if _is_zero(data, position, stop) else stop - position


def _is_zero(data: FileBytes, start: int, stop: int) -> bool:
    step = 2**16
    return not any(data.at(offset, min(step, stop - offset)).strip(b"\0") for offset in range(start, stop, step))


def aiff_parts(data: FileBytes) -> list[Part]:
    """Find AIFF, AIFF-C and IFF (8SVX, 16SV) recordings."""
    form = data.at(8, 4)
    bounds = _bounds(data, b"FORM", lambda offset: data.at(offset + 8, 4) == form)
    return [_chunk_part(data, start, stop, start + 12, (b"SSND", b"BODY")) for start, stop in bounds]


def caf_parts(data: FileBytes) -> list[Part]:
    """Find CAF recordings."""
    bounds = _bounds(data, b"caff\0\1\0\0desc")
    return [_chunk_part(data, start, stop, start + 8, (b"data",), size_bytes=8) for start, stop in bounds]


def _chunk_part(
    data: FileBytes, start: int, stop: int, first: int, names: tuple[bytes, ...], size_bytes: int = 4
) -> Part:
    """Return a recording whose samples are the first chunk of one of `names`; the first chunk begins at `first`."""
    for chunk in _chunks(data, first, stop, "big", size_bytes):
        if chunk.name in names:
            return _data_part(start, stop, chunk.body, chunk.size)
    return Part(start, stop)


def w64_parts(data: FileBytes) -> list[Part]:
    """Find Sony Wave64 recordings."""
    return [_w64_part(data, start, stop) for start, stop in _bounds(data, W64_MAGIC)]


def _w64_part(data: FileBytes, start: int, stop: int) -> Part:
    position = start + 40
    while position + 24 <= stop:  # a name of 16 bytes, a size of 8 that counts both, and padding to 8 bytes
        size = max(data.number(position + 16, 8, "little"), 24)
        if data.at(position, 4) == b"data":
            if position + size > stop and not _is_open(size - 24):
                return _data_part(start, stop, position + 24, size - 24)
            end = min(position + size, stop)
            if stop - end < 8 and not _is_open(size - 24):
                return Part(start, stop)
            # libsndfile reads to the end, and needs the sizes.
            head = bytearray(data.at(start, position + 24 - start))
            struct.pack_into("<Q", head, 16, end - start)
            struct.pack_into("<Q", head, position + 16 - start, end - position)
            return Part(start, end, head=bytes(head), body=position + 24)
        position += size + -size % 8
    return Part(start, stop)


def au_parts(data: FileBytes) -> list[Part]:
    """Find AU recordings."""
    magic = data.at(0, 4)
    order = "big" if magic == b".snd" else "little"
    parts = []
    for start, stop in _bounds(data, magic, lambda offset: is_au_header(data, offset)):
        body, size = (data.number(start + at, 4, order) for at in (4, 8))
        parts.append(_data_part(start, stop, start + body, size))
    return parts


def is_au_header(data: FileBytes, start: int) -> bool:
    """Say if the numbers of an AU header are at `start`."""
    order = "big" if data.at(start, 4) == b".snd" else "little"
    body, _, encoding, rate, channels = (data.number(start + at, 4, order) for at in range(4, 24, 4))
    return 24 <= body <= 4096 and 1 <= encoding <= 27 and 1000 <= rate <= 400_000 and 1 <= channels <= 32


def skip_flac_metadata(data: FileBytes, start: int) -> int:
    """Return the offset of the first frame of a FLAC recording. Its metadata may hold headers of other formats."""
    position, is_last = start + 4, 0
    while not is_last and position < data.size:
        is_last = data.number(position, 1) & 0x80
        position += 4 + data.number(position + 1, 3)
    return position


def flac_parts(data: FileBytes, start: int) -> list[Part]:
    """Find FLAC recordings, the first at `start`. Only decoding shows if all of their samples are there."""
    parts = []
    for first, stop in _bounds(data, b"fLaC", lambda at: data.number(at + 4, 4) & 0x7FFFFFFF == 34, start):
        packed = data.number(first + 18, 8)  # rate (20 bits), channels (3), bits (5), samples (36)
        rate, samples = packed >> 44, packed & (2**36 - 1)
        length = samples / rate if rate and samples else None
        # A tag before the first recording is no harm.
        parts.append(Part(0 if first == start else first, stop, seconds=length, strict=length is None))
    return parts


def tta_parts(data: FileBytes) -> list[Part]:
    """Find True Audio recordings. Only decoding shows if all of their samples are there."""
    parts = []
    for start, stop in _bounds(data, b"TTA1"):
        rate, samples = (data.number(start + at, 4, "little") for at in (10, 14))
        parts.append(Part(start, stop, seconds=samples / rate if rate else None))
    return parts


def nist_parts(data: FileBytes) -> list[Part]:
    """Find NIST SPHERE recordings. The length of compressed ones is not checked."""
    return [_nist_part(data, start, stop) for start, stop in _bounds(data, b"NIST_1A\n   1024\n")]


def _nist_part(data: FileBytes, start: int, stop: int) -> Part:
    header = {}
    for line in data.at(start, 1024).decode("latin-1").splitlines():
        name, _, value = line.partition(" ")
        header[name] = value.rpartition(" ")[2]
    sizes = [header.get(name, "") for name in ("sample_count", "sample_n_bytes", "channel_count")]
    if not all(map(str.isdecimal, sizes)) or "," in header.get("sample_coding", ""):
        return Part(start, stop)
    samples, width, channels = map(int, sizes)
    return _data_part(start, stop, start + 1024, samples * width * channels)


def mp4_parts(data: FileBytes) -> list[Part]:
    """Find recordings in MP4, M4A, MOV and 3GP."""

    def is_header(offset: int) -> bool:
        return offset > 8 and data.number(offset - 4, 4) <= 256 and data.at(offset + 4, 4).isascii()

    starts = [0, *(offset - 4 for offset in data.find_all(b"ftyp", 8) if is_header(offset)), data.size]
    return [_mp4_part(data, start, stop) for start, stop in itertools.pairwise(starts)]


def _mp4_part(data: FileBytes, start: int, stop: int) -> Part:
    position, names = start, set()
    while position + 8 <= stop:  # boxes of a size and a name
        size, name = data.number(position, 4), data.at(position + 4, 4)
        if size == 1:
            size = data.number(position + 8, 8)
        if size == 0 and name == b"mdat":  # to the end
            size = stop - position
        if size < 8 or not name.isalnum():
            break  # not a box
        names.add(name)
        position += size
    if position > stop:
        return Part(start, stop, fault=bytes_missing(position - start, stop - start))
    if not names & {b"moov", b"moof"}:
        return Part(start, stop, fault=cut_short("its index (moov) is missing"))
    return Part(start, stop)


def asf_parts(data: FileBytes) -> list[Part]:
    """Find WMA and ASF recordings: a header object, then a data object, each with a size of 8 bytes."""
    parts = []
    for start, stop in _bounds(data, ASF_MAGIC):
        header = start + data.number(start + 16, 8, "little")
        size = data.number(header + 16, 8, "little") if header < stop else stop
        parts.append(_data_part(start, stop, header, size))
    return parts


def flv_parts(data: FileBytes) -> list[Part]:
    """Find Flash videos: tags with a header of 11 bytes and the size of the tag after it."""
    parts = []
    for start, stop in _bounds(data, b"FLV\1", lambda offset: data.number(offset + 5, 4) == 9):
        position = start + 13
        while position < stop and data.at(position, 1) in (b"\x08", b"\x09", b"\x12"):
            position += 15 + data.number(position + 1, 3)
        parts.append(Part(start, stop, fault=WITHIN_BLOCK if position > stop else None))
    return parts


def ebml_parts(data: FileBytes) -> list[Part]:
    """Find recordings in WebM and Matroska."""
    bounds = _bounds(data, EBML_MAGIC, lambda offset: is_ebml_header(data, offset))
    return [_ebml_part(data, start, stop) for start, stop in bounds]


def is_ebml_header(data: FileBytes, start: int) -> bool:
    """Say if the bytes at `start` name WebM or Matroska."""
    names = data.at(start, 64)
    return b"webm" in names or b"matroska" in names


def _ebml_part(data: FileBytes, start: int, stop: int) -> Part:
    position = start
    while position < stop and (element := _ebml_element(data, position)):
        body, size = element
        # Live recordings have segments and clusters without a size: look at what is in them.
        position = body if size is None else body + size
    return Part(start, stop, fault=WITHIN_BLOCK if position > stop else None)


def _ebml_element(data: FileBytes, position: int) -> tuple[int, int | None] | None:
    """Return the offset of an element's content and its size, or None if there is no element at `position`."""
    width = 9 - data.number(position, 1).bit_length()  # of its name
    size_width = 9 - data.number(position + width, 1).bit_length()
    if width > 4 or size_width > 8:
        return None
    largest = (1 << 7 * size_width) - 1
    size = data.number(position + width, size_width) & largest
    return position + width + size_width, None if size == largest else size
