"""Find the recordings in a file of any format, or of several."""

import itertools
from collections.abc import Callable, Iterator

from mlx_whisper_lora.whisper.audio import chunked, framed
from mlx_whisper_lora.whisper.audio.parts import FileBytes, Part

_IFF_FORMS = (b"AIFF", b"AIFC", b"8SVX", b"16SV")
_Begin = Callable[[FileBytes, int], int | None]  # the offset of the recording that a pattern at an offset belongs to


def _if_form(*forms: bytes) -> _Begin:
    return lambda data, at: at if data.at(at + 8, 4) in forms else None


def _always(data: FileBytes, at: int) -> int:
    return at


def _if_first_page(data: FileBytes, at: int) -> int | None:
    return at if data.number(at + 6, 8) == 0 else None


def _if_not_in_ogg(data: FileBytes, at: int) -> int | None:
    return None if at >= 9 and data.at(at - 9, 5) == b"\x7fFLAC" else at


def _if_box(data: FileBytes, at: int) -> int | None:
    return at - 4 if 8 <= data.number(at - 4, 4) <= 256 and data.at(at + 4, 3).isalnum() else None


_BEGINNINGS: dict[bytes, _Begin] = {
    b"RIFF": _if_form(b"WAVE"),
    b"RF64": _if_form(b"WAVE"),
    b"RIFX": _if_form(b"WAVE"),
    b"FORM": _if_form(*_IFF_FORMS),
    b"caff\0\1\0\0desc": _always,
    chunked.W64_MAGIC: _always,
    b"NIST_1A\n   1024\n": _always,
    b".snd": lambda data, at: at if chunked.is_au_header(data, at) else None,
    b"OggS\0\2": _if_first_page,
    b"fLaC\0\0\0\x22": _if_not_in_ogg,
    b"ftyp": _if_box,
    chunked.EBML_MAGIC: lambda data, at: at if chunked.is_ebml_header(data, at) else None,
    b"Xing": framed.first_frame,
    b"Info": framed.first_frame,
}
_SAME = {b"Info": b"Xing"}  # patterns of one format


def find_parts(data: FileBytes) -> list[Part]:
    """Find the recordings in a file, and what is missing from them.

    The content alone decides the formats. A file of an unknown format is one part, of which nothing is known.
    """
    starts = [0, *_changes(data), data.size]
    sections = itertools.pairwise(starts)
    return [part.moved(start) for start, stop in sections for part in _parts_of_one_format(data.section(start, stop))]


def _changes(data: FileBytes) -> Iterator[int]:
    """Yield where a recording begins that has another format than the one before it.

    Nothing is searched behind MP4, WebM and others that may hold the headers of another format themselves.
    """
    begin = framed.skip_id3(data, 0)
    if framed.is_mpeg_audio(data, begin):
        current = b"Xing"
    else:
        known = (name for name in _BEGINNINGS if data.at(begin, len(name)) == name)
        current = next((name for name in known if _BEGINNINGS[name](data, begin) == begin), b"")
    if current in (b"", chunked.EBML_MAGIC):
        return
    after = chunked.skip_flac_metadata(data, begin) if current.startswith(b"fLaC") else begin + 1
    found = sorted(
        (start, _SAME.get(name, name))
        for name, find in _BEGINNINGS.items()
        for at in data.find_all(name, after)
        if (start := find(data, at)) is not None and start >= after
    )
    for start, name in found:
        if name != current:
            yield start
            current = name


def _parts_of_one_format(data: FileBytes) -> list[Part]:
    """Find the recordings in a file that has no other format than that of its first bytes."""
    first, form = data.at(0, 16), data.at(8, 4)
    match first[:4]:
        case b"RIFF" | b"RF64" | b"RIFX" if form in (b"WAVE", b"AVI "):
            return chunked.wav_parts(data)
        case b"FORM" if form in _IFF_FORMS:
            return chunked.aiff_parts(data)
        case b"caff":
            return chunked.caf_parts(data)
        case b".snd" | b"dns.":
            return chunked.au_parts(data)
        case b"OggS":
            return framed.ogg_parts(data)
        case b"NIST":
            return chunked.nist_parts(data)
        case b"FLV\1":
            return chunked.flv_parts(data)
        case b"TTA1":
            return chunked.tta_parts(data)
        case b"#!AM":
            return framed.amr_parts(data)
    if first == chunked.W64_MAGIC:
        return chunked.w64_parts(data)
    if first.startswith(chunked.EBML_MAGIC):
        return chunked.ebml_parts(data)
    if first.startswith(chunked.ASF_MAGIC):
        return chunked.asf_parts(data)
    if first[4:8] == b"ftyp" or (first[:1] == b"\0" and first[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip")):
        return chunked.mp4_parts(data)
    begin = framed.skip_id3(data, 0)
    if data.at(begin, 4) == b"fLaC":
        return chunked.flac_parts(data, begin)
    if framed.is_mpeg_audio(data, begin):
        return framed.mpeg_parts(data, begin)
    return framed.adts_parts(data, begin)
