"""Recordings that are joined, cut, or have a wrong header: read to the end, or refused with what is missing."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.whisper.audio.contents import find_parts
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.parts import FileBytes
from tests.support.processes import fake_ffmpeg
from tools.references.seeded import chirps

FORMATS = [
    ("WAV", "PCM_16"),
    ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("W64", "PCM_16"),
    ("NIST", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]


def encode(samples: np.ndarray, format: str, subtype: str, rate: int = 16000, **options) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype, **options)
    return file.getvalue()


def first_and_second(format: str, subtype: str) -> tuple[bytes, bytes]:
    return encode(chirps(3, 1), format, subtype), encode(chirps(2, 2), format, subtype, rate=8000)


def faults(data: bytes) -> list[str | None]:
    return [part.fault for part in find_parts(FileBytes(io.BytesIO(data)))]


@pytest.fixture
def no_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_joined_recordings_are_read_to_the_end(no_ffmpeg, format, subtype):
    first, second = first_and_second(format, subtype)
    expected = np.concatenate([load_audio(first), load_audio(second)])
    np.testing.assert_array_equal(load_audio(first + second), expected)
    np.testing.assert_array_equal(load_audio(first + second, start=2.5, end=4.5), expected[40_000:72_000])


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_joined_recordings_of_several_formats_are_read_to_the_end(no_ffmpeg, format, subtype):
    recordings = [encode(chirps(0.5, seed=2), format, subtype)]
    recordings += [encode(chirps(0.3), *other) for other in FORMATS if other != (format, subtype)]
    expected = np.concatenate([load_audio(each) for each in recordings])
    np.testing.assert_array_equal(load_audio(b"".join(recordings)), expected)


def test_a_header_within_metadata_is_no_recording(no_ffmpeg):
    wav_header = encode(chirps(1), "WAV", "PCM_16")[:44]
    flac = encode(chirps(1), "FLAC", "PCM_16")
    block = b"\x02" + (4 + len(wav_header)).to_bytes(3, "big") + b"riff" + wav_header  # as `flac --keep-foreign` does
    assert load_audio(flac[:42] + block + flac[42:]).size == 16_000


def test_a_stream_of_mp3_within_a_wav_or_a_film_is_no_recording_of_its_own():
    stream = mp3()
    wav_header = b"RIFF" + struct.pack("<I", 36 + len(stream)) + b"WAVEfmt " + struct.pack("<I", 16)
    wav_header += struct.pack("<HHIIHH", 0x55, 1, 16000, 4000, 1, 0) + b"data" + struct.pack("<I", len(stream))
    film = b"RIFF" + struct.pack("<I", 4 + len(stream)) + b"AVI " + stream
    for data in (wav_header + stream, film):
        assert faults(data) == [None]


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_a_recording_that_is_cut_in_half_is_refused(no_ffmpeg, format, subtype):
    first, second = first_and_second(format, subtype)
    for data in (first[: len(first) // 2], first[: len(first) // 2] + second, second + first[: len(first) * 9 // 10]):
        with pytest.raises(AudioError, match=r"^<bytes>: the recording is cut short.*; copy it again, or convert what"):
            load_audio(data)


def test_the_error_of_a_cut_recording_says_what_is_missing(tmp_path):
    (tmp_path / "x.wav").write_bytes(encode(chirps(3), "WAV", "PCM_16")[:50_044])
    with pytest.raises(AudioError) as error:
        load_audio(tmp_path / "x.wav")
    assert str(error.value) == (
        f"{tmp_path}/x.wav: the recording is cut short: its header promises 96,000 bytes, and 50,000 are there; "
        "copy it again, or convert what is there with ffmpeg and use that"
    )


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")])
def test_a_stretch_of_what_is_there_of_a_cut_recording_is_read(format, subtype):
    data = encode(chirps(6), format, subtype)
    cut = data[: len(data) * 2 // 3]
    np.testing.assert_array_equal(load_audio(cut, start=0.5, end=1.5), load_audio(data, start=0.5, end=1.5))
    with pytest.raises(AudioError, match="cut short"):
        load_audio(cut, start=0.5, end=5.5)


def test_what_libsndfile_cannot_decode_is_decoded_by_ffmpeg(tmp_path, monkeypatch):
    path = tmp_path / "x.flac"
    data = bytearray(encode(chirps(9), "FLAC", "PCM_16"))
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 1000] = bytes(1000)
    path.write_bytes(data)
    monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, "head -c 288000 /dev/zero | tr '\\000' '\\100'"))
    samples = load_audio(path)
    assert len(samples) == 144_000
    assert np.all(samples[-16_000:] == np.float32(0x4040 / 32768))
    monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, "head -c 200000 /dev/zero"))
    with pytest.raises(AudioError, match=r"cut short or damaged: its header promises 9\.0 s, and 6\.2 s can be read"):
        load_audio(path)


@pytest.mark.parametrize("format", [name for name in soundfile.available_formats() if name not in ("RAW", "SD2")])
def test_nothing_is_missing_from_any_format_that_libsndfile_writes(format):
    written = 0
    for subtype in soundfile.available_subtypes(format):
        try:
            data = encode(chirps(0.5), format, subtype)
        except (soundfile.LibsndfileError, ValueError):  # for example, a rate that the encoding does not have
            continue
        assert faults(data) == [None], subtype
        written += 1
    assert written


# WAV


def wav(size: int, samples: bytes, after: bytes = b"", riff_size: int = 0, before: bytes = b"") -> bytes:
    """Return a WAV file of 16-bit samples whose header gives `size`."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    header = struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE") + fmt + before
    return header + struct.pack("<4sI", b"data", size) + samples + after


SAMPLES = (chirps(2) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("riff_size", [0, 8, 36, 2**32 - 1])
def test_a_wav_that_was_never_closed_is_read_to_its_end(size, riff_size):
    data = wav(size, SAMPLES, riff_size=riff_size, before=b"LIST\x04\0\0\0INFO")
    np.testing.assert_array_equal(load_audio(data), np.frombuffer(SAMPLES, "<i2") / np.float32(32768))
    assert len(load_audio(data, start=1.5)) == 8000


def test_an_rf64_that_was_never_closed_is_read_to_its_end():
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    ds64 = struct.pack("<4sI28x", b"ds64", 28)
    data = b"RF64\xff\xff\xff\xffWAVE" + ds64 + fmt + b"data\xff\xff\xff\xff" + SAMPLES
    assert len(load_audio(data)) == 32_000


@pytest.mark.parametrize(
    "after",
    [
        b"LIST\x04\0\0\0INFO",
        b"LIST\x05\0\0\0INFOx",  # without padding
        b"id3 " + struct.pack("<I", 70_000) + bytes(range(250)) * 280,
        b"TAG" + b"title".ljust(125, b"\0"),
        b"ID3\4\0\0" + bytes(range(250)) * 200,
        bytes(100_000),
    ],
)
@pytest.mark.parametrize("n_bytes", [64_000, 63_999])
def test_metadata_after_the_samples_of_a_wav_is_no_audio(after, n_bytes):
    samples = SAMPLES[:n_bytes]
    assert len(load_audio(wav(n_bytes, samples, after))) == n_bytes // 2
    if n_bytes % 2:
        assert len(load_audio(wav(n_bytes, samples + b"\0", after))) == n_bytes // 2


def test_a_wav_without_samples_is_not_taken_for_one_that_was_never_closed():
    with pytest.raises(AudioError, match="holds no samples"):
        load_audio(wav(0, b"", after=b"LIST\x04\0\0\0INFO"))


def test_a_wav_with_more_audio_than_its_header_promises_is_refused():
    with pytest.raises(AudioError, match=r"promises 10,000 bytes of audio, and 54,000 more follow; .*-ignore_length 1"):
        load_audio(wav(10_000, SAMPLES))


# MP3


def mp3(seed: int = 1, **options) -> bytes:
    return encode(chirps(3, seed), "MP3", "MPEG_LAYER_III", **options)


def without_info(data: bytes) -> bytes:
    """Remove the first frame, which gives the number of frames."""
    assert b"Xing" in data[:100] or b"Info" in data[:100]
    return data[data.index(data[:2], 4) :]


VARIABLE = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
ID3 = b"ID3\4\0\0\0\0\x01\x00" + bytes(128)


@pytest.mark.parametrize("between", [b"", ID3, b"TAG" + bytes(125), b"TAG" + bytes(125) + ID3, bytes(5000)])
@pytest.mark.parametrize("options", [{}, VARIABLE])
def test_mp3s_with_tags_between_them_are_read_to_the_end(no_ffmpeg, between, options):
    first, second = mp3(1, **options), mp3(2, **options)
    expected = np.concatenate([load_audio(first), load_audio(second)])
    np.testing.assert_array_equal(load_audio(first + between + second + between), expected)


@pytest.mark.parametrize("options", [{}, VARIABLE])
def test_an_mp3_without_a_number_of_frames_is_read_to_the_end(no_ffmpeg, options):
    bare = without_info(mp3(**options))
    assert 3.0 <= len(load_audio(bare)) / 16000 < 3.2
    assert 6.0 <= len(load_audio(bare + bare)) / 16000 < 6.4
    with pytest.raises(AudioError, match="cut short: it ends within a block"):
        load_audio(bare[:-50])


def test_an_mp3_that_is_cut_within_its_first_frame_is_not_junk_behind_another_one():
    first, second = mp3(), mp3(seed=2)
    for size in (60, 150, len(second) // 2):
        with pytest.raises(AudioError, match="the recording is cut short"):
            load_audio(first + second[:size])


def test_an_mp3_with_a_too_small_number_of_frames_is_read_to_the_end(no_ffmpeg):
    data = bytearray(mp3(**VARIABLE))
    at = max(data.find(b"Xing"), data.find(b"Info")) + 8
    data[at : at + 4] = struct.pack(">I", 20)
    np.testing.assert_array_equal(load_audio(bytes(data)), load_audio(mp3(**VARIABLE)))


def test_tags_before_and_after_an_mp3_or_flac_do_no_harm(no_ffmpeg):
    for data in (mp3(), encode(chirps(3), "FLAC", "PCM_16")):
        np.testing.assert_array_equal(load_audio(ID3 + data + b"TAG" + bytes(125)), load_audio(data))


# Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_bytes_after_the_last_page_of_an_ogg_do_no_harm(subtype):
    data = encode(chirps(3), "OGG", subtype)
    np.testing.assert_array_equal(load_audio(data + bytes(5000)), load_audio(data))
    with pytest.raises(AudioError, match="cut short: it ends within a block"):
        load_audio(data[: len(data) * 2 // 3] + bytes(5000))  # a disk that was not written to the end


def test_an_ogg_without_a_last_page_is_read():
    """Recordings of a stream end at a page, and no page is marked as the last."""
    data = encode(chirps(9), "OGG", "OPUS")
    last_page = data.rindex(b"OggS")
    assert len(load_audio(data[:last_page])) > 5 * 16000


# Formats that only ffmpeg decodes


def box(name: bytes, size: int) -> bytes:
    return struct.pack(">I4s", size, name) + bytes(size - 8)


def ebml(name: str, content: bytes, size: int | None = None) -> bytes:
    """Return an EBML element; a size of -1 means that it is not known."""
    n = len(content) if size is None else size
    return bytes.fromhex(name) + (b"\x01" + b"\xff" * 7 if n < 0 else struct.pack(">Q", n | 1 << 56)) + content


EBML = ebml("1a45dfa3", ebml("4282", b"webm"))
CLUSTER = ebml("e7", b"\0") + ebml("a3", bytes(500)) * 4
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + struct.pack("<Q", 30) + bytes(6)
FILES = {
    "mp4": box(b"ftyp", 32) + box(b"mdat", 3000) + box(b"moov", 500),
    "faststart": box(b"ftyp", 32) + box(b"moov", 500) + box(b"mdat", 3000),
    "fragments": box(b"ftyp", 32) + box(b"moov", 500) + (box(b"moof", 100) + box(b"mdat", 3000)) * 2,
    "webm": EBML + ebml("18538067", ebml("1f43b675", CLUSTER)),
    "live webm": EBML + ebml("18538067", ebml("1f43b675", CLUSTER, -1) * 2, -1),
    "avi": struct.pack("<4sI4s", b"RIFF", 9004, b"AVI ") + bytes(9000),
    "wma": ASF + bytes(16) + struct.pack("<Q", 9000) + bytes(8976),
    "flv": b"FLV\1\4\0\0\0\x09" + bytes(4) + (struct.pack(">BHB7x", 8, 1000 >> 8, 1000 & 255) + bytes(1004)) * 5,
    "aac": (b"\xff\xf1\x50\x80\x7d\x1f\xfc" + bytes(993)) * 5,
    "amr": b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_for_ffmpeg_that_is_cut_is_refused(name):
    data = FILES[name]
    assert faults(data) == [None]
    for length in (len(data) // 2, len(data) * 9 // 10):
        assert "the recording is cut short" in (faults(data[:length])[0] or "")


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("aac", "amr")])
def test_joined_files_for_ffmpeg_are_found(name):
    data = FILES[name]
    parts = find_parts(FileBytes(io.BytesIO(data + data)))
    assert [(part.start, part.stop) for part in parts] == [(0, len(data)), (len(data), 2 * len(data))]


def test_each_of_joined_files_is_given_to_ffmpeg(tmp_path, monkeypatch):
    data = FILES["mp4"]
    (tmp_path / "x.m4a").write_bytes(data + data)
    script = f'echo "$@" >> {tmp_path}/arguments; head -c 3200 /dev/zero'
    monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, script))
    assert len(load_audio(tmp_path / "x.m4a")) == 3200
    calls = Path(tmp_path / "arguments").read_text().splitlines()
    assert len(calls) == 2
    assert f"subfile,,start,{len(data)},end,{2 * len(data)},,:file:{tmp_path}/x.m4a" in calls[1]


def test_a_text_is_not_taken_for_a_cut_recording(tmp_path, no_ffmpeg):
    for text in (b"was free for all to use", b"A tftyp", b"moov along, nothing to see here"):
        with pytest.raises(AudioError, match="not a readable audio file"):
            load_audio(text)


def test_offsets_that_no_file_can_have_are_refused():
    huge = ASF[:16] + struct.pack("<Q", 2**64 - 8) + bytes(100)
    assert "cut short" in (faults(huge)[0] or "")
