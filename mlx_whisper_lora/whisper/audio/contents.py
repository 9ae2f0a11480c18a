"""Find the recordings in a file of any format."""

from mlx_whisper_lora.whisper.audio import chunked, framed
from mlx_whisper_lora.whisper.audio.parts import FileBytes, Part


def find_parts(data: FileBytes) -> list[Part]:
    """Find the recordings in a file, and what is missing from them.

    The content alone decides the format. A file of another format is one part, of which nothing is known.
    """
    first, form = data.at(0, 16), data.at(8, 4)
    match first[:4]:
        case b"RIFF" | b"RF64" | b"RIFX" if form in (b"WAVE", b"AVI "):
            return chunked.wav_parts(data)
        case b"FORM" if form in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
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
