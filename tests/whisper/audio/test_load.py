"""Recordings, and stretches of them, decoded to samples."""

import io
import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import scipy.signal
import soundfile

from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import BLOCK, audio_blocks, load_audio, pad_or_trim, resample
from tests.support.processes import fake_ffmpeg
from tools.references.seeded import chirps

FORMATS = {  # container, encoding, and how far a sample may be off
    "WAV": [("PCM_16", 1e-4), ("PCM_24", 1e-6), ("FLOAT", 0), ("DOUBLE", 1e-7), ("ULAW", 0.02), ("ALAW", 0.02)],
    "RF64": [("PCM_16", 1e-4)],
    "AIFF": [("PCM_16", 1e-4), ("FLOAT", 0)],
    "AU": [("PCM_16", 1e-4)],
    "CAF": [("PCM_24", 1e-6)],
    "FLAC": [("PCM_16", 1e-4)],
    "OGG": [("VORBIS", 0.15), ("OPUS", 0.15)],
    "MP3": [("MPEG_LAYER_III", 0.15)],
}


@pytest.mark.parametrize(
    ("container", "encoding", "tolerance"),
    [(container, encoding, off) for container, kinds in FORMATS.items() for encoding, off in kinds],
)
def test_the_format_is_detected_from_the_content(tmp_path, container, encoding, tolerance):
    sound = scipy.signal.lfilter([0.25] * 4, 1, chirps(1))  # without noise that lossy codecs drop
    soundfile.write(tmp_path / "talk.raw", sound, 16000, format=container, subtype=encoding)  # a wrong suffix
    samples = load_audio(tmp_path / "talk.raw")
    assert samples.dtype == np.float32 and 16000 <= len(samples) < 18000  # MP3 fills its last frame
    np.testing.assert_allclose(samples[:16000], sound, atol=tolerance + 1e-7)


@pytest.mark.parametrize("n_channels", [2, 6])
def test_channels_are_averaged(tmp_path, n_channels):
    channels = np.stack([chirps(0.5, seed) for seed in range(n_channels)], axis=1)
    soundfile.write(tmp_path / "x.wav", channels, 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "x.wav"), channels.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_any_rate_keeps_pitch_and_duration(tmp_path, rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "x.flac", tone, rate)
    samples = load_audio(tmp_path / "x.flac")
    assert samples.dtype == np.float32 and len(samples) == 16000
    expected = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(samples[1000:-1000], expected[1000:-1000], atol=0.01)


@pytest.mark.parametrize("rate", [8000, 11025, 32000, 44099, 44100, 48000])
@pytest.mark.parametrize("cuts", [[], [1, 2, 700, 30000], range(1000, 60000, 1000)])
def test_resampling_in_blocks_equals_scipy_on_the_entire_recording(rate, cuts):
    sound = chirps(4)[:60001]
    divisor = np.gcd(rate, 16000)
    expected = scipy.signal.resample_poly(sound, 16000 // divisor, rate // divisor)
    blocks = list(resample(np.split(sound, cuts), rate, 16000))
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_resampling_down_leaves_no_alias():
    tone = np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000).astype(np.float32)  # above 8 kHz, the new limit
    samples = np.concatenate(list(resample([tone], 48000, 16000)))
    assert np.abs(samples[1000:-1000]).max() < 0.01


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".opus"])
def test_decoding_in_blocks_equals_decoding_at_once(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    soundfile.write(path, chirps(9), 48000, **({"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}))
    whole, _ = soundfile.read(path, dtype="float32")
    blocks = list(audio_blocks(path, sample_rate=48000))
    assert len(blocks) == 3 and max(map(len, blocks)) == BLOCK
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def write_recording(path: Path, rate: int, format: str, subtype: str) -> Path:
    """Write 9 s of audio."""
    soundfile.write(path, chirps(9 * rate / 16000), rate, format=format, subtype=subtype)
    return path


STRETCHES = [(0.0, 1.0), (0.25, 0.75), (3.3333, 3.3334), (4.321, 8.765), (8.9, 9.0), (5.0, None)]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize(
    ("format", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("AIFF", "PCM_24")]
)
def test_a_stretch_of_a_lossless_recording_is_bit_equal_to_the_slice(tmp_path, rate, format, subtype):
    path = write_recording(tmp_path / "x", rate, format, subtype)
    entire = load_audio(path)
    for start, end in STRETCHES:
        stop = None if end is None else round(end * 16000)
        np.testing.assert_array_equal(load_audio(path, start=start, end=end), entire[round(start * 16000) : stop])


@pytest.mark.parametrize(("format", "subtype"), [("OGG", "OPUS"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_a_stretch_of_a_lossy_recording_is_close_to_the_slice_and_always_the_same(tmp_path, format, subtype):
    path = write_recording(tmp_path / "x", 16000, format, subtype)
    entire = load_audio(path)
    for start, end in STRETCHES:
        stretch = load_audio(path, start=start, end=end)
        stop = None if end is None else round(end * 16000)
        np.testing.assert_allclose(stretch, entire[round(start * 16000) : stop], rtol=0, atol=5e-3)
        np.testing.assert_array_equal(stretch, load_audio(path, start=start, end=end))


def test_a_stretch_is_decoded_from_the_start_if_the_format_cannot_seek(tmp_path):
    path = write_recording(tmp_path / "x", 8000, "WAV", "GSM610")
    with soundfile.SoundFile(path) as sound:
        assert not sound.seekable()
    np.testing.assert_array_equal(load_audio(path, start=4.5, end=5), load_audio(path)[72_000:80_000])


def test_a_stretch_of_bytes(tmp_path):
    path = write_recording(tmp_path / "x", 16000, "FLAC", "PCM_16")
    np.testing.assert_array_equal(load_audio(path.read_bytes(), start=1, end=2), load_audio(path)[16_000:32_000])


def test_only_the_surroundings_of_a_stretch_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(600 * 8000, np.int16), 8000)
    n_read = []
    read = soundfile.SoundFile.read

    def counted_read(*arguments, **options):
        n_read.append(len(samples := read(*arguments, **options)))
        return samples

    monkeypatch.setattr(soundfile.SoundFile, "read", counted_read)
    assert len(load_audio(path, start=300, end=301)) == 16_000
    assert sum(n_read) <= BLOCK


def test_an_end_just_after_the_recordings_is_its_end(tmp_path):
    path = write_recording(tmp_path / "x", 16000, "WAV", "PCM_16")
    assert len(load_audio(path, start=8.0, end=9.09)) == 16_000


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (-1, None, "the clip starts at -1 s; give seconds from the start of the recording"),
        (float("nan"), None, "the clip starts at nan s; give seconds from the start of the recording"),
        (5, 3, "the clip starts at 5 s and ends at 3 s; it must end after its start"),
        (5, 5.00001, "the clip starts at 5 s and ends at 5.00001 s; it must end after its start"),
        (5, float("inf"), "the clip starts at 5 s and ends at inf s; it must end after its start"),
        (5, 9.5, "the recording ends at 9.00 s, and the clip at 9.50 s; correct its times"),
        (9.5, 10, "the recording ends before 9.50 s, where the clip starts; correct its times"),
        (9.5, None, "the recording ends before 9.50 s, where the clip starts; correct its times"),
    ],
)
def test_a_stretch_that_is_not_in_the_recording_is_refused(tmp_path, start, end, message):
    path = write_recording(tmp_path / "x.wav", 16000, "WAV", "PCM_16")
    with pytest.raises(AudioError) as error:
        load_audio(path, start=start, end=end)
    assert str(error.value) == f"{path}: {message}"


class Pipe:
    """A stream that can be read only once and in order."""

    def __init__(self, data: bytes):
        self.read = io.BytesIO(data).read


def test_bytes_and_streams_give_the_samples_of_the_file(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, chirps(1), 22050)
    data, expected = path.read_bytes(), load_audio(path)
    with path.open("rb") as file:
        for source in (data, io.BytesIO(data), file, Pipe(data)):
            np.testing.assert_array_equal(load_audio(source), expected)


def test_a_named_pipe_is_read(tmp_path):
    soundfile.write(tmp_path / "x.wav", chirps(1), 16000)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "x.wav").read_bytes()))
    writer.start()
    np.testing.assert_array_equal(load_audio(tmp_path / "pipe"), load_audio(tmp_path / "x.wav"))
    writer.join()


def write_text(path):
    path.write_text("these are words, not audio")


def write_floats(*samples):
    return lambda path: soundfile.write(path, np.array(samples, np.float32), 16000, subtype="FLOAT")


def write_wav_claiming(rate, n_bytes):
    """A WAV of 1,000 samples whose header says something else."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", n_bytes
    )
    return lambda path: path.write_bytes(header + bytes(2000))


BAD_FILES = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "empty": (lambda path: path.touch(), "empty"),
    "text": (write_text, "not a readable audio file"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0, np.float32), 16000), "no samples"),
    "nan": (write_floats(0.1, np.nan, 0.2), "NaN"),
    "infinite": (write_floats(0.1, -np.inf), "infinite"),
    "too loud": (write_floats(0.1, 20000), "float samples reach 2e\\+04, and full scale is 1; divide them"),
    "rate": (write_wav_claiming(2**31 - 1, 2000), "the header gives an impossible rate, 2147483647 samples a second"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path, case):
    make, message = BAD_FILES[case]
    path = tmp_path / "talk.wav"
    make(path)
    with pytest.raises(AudioError, match=message) as error:
        load_audio(path)
    assert str(path) in str(error.value)


def test_a_bad_stream_is_refused_by_name_and_reason(tmp_path):
    write_text(tmp_path / "words")
    with (tmp_path / "words").open() as file, pytest.raises(AudioError, match=r"words: opened as text; .* 'rb'"):
        load_audio(file)
    with pytest.raises(AudioError, match=r"<BytesIO>: the recording is empty"):
        load_audio(io.BytesIO())
    with pytest.raises(AudioError, match=r"^<bytes>: not a readable audio file"):
        load_audio(b"these are words, not audio")


@pytest.fixture
def m4a(tmp_path):
    path = tmp_path / "talk.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(20) + b"\0\0\0\x08moov")
    return path


def test_without_ffmpeg_the_error_says_how_to_get_it(m4a, monkeypatch):
    monkeypatch.setenv("PATH", str(m4a.parent))
    with pytest.raises(AudioError, match=r"talk\.m4a: .* need ffmpeg: .*brew install.*apt install.*convert the file"):
        load_audio(m4a)


def test_ffmpeg_gets_the_options_that_openai_whisper_gives(m4a, monkeypatch):
    script = f'echo "$@" > {m4a.parent}/arguments; printf "\\000\\100\\000\\300\\000"'  # 16384, -16384, half a sample
    monkeypatch.setenv("PATH", fake_ffmpeg(m4a.parent, script))
    assert load_audio(m4a).tolist() == [0.5, -0.5]
    arguments = (m4a.parent / "arguments").read_text()
    assert f":file:{m4a} " in arguments and "-f s16le -ac 1 -ar 16000" in arguments


def test_a_stretch_is_cut_from_the_output_of_ffmpeg_which_is_then_stopped(m4a, monkeypatch):
    monkeypatch.setenv(
        "PATH", fake_ffmpeg(m4a.parent, "head -c 200000 /dev/zero | tr '\\000' '\\100'; exec sleep 1000")
    )
    np.testing.assert_array_equal(load_audio(m4a, start=1.5, end=1.75), np.full(4000, 0x4040 / 32768, np.float32))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo some detail >&2; echo file:$0: moov atom not found >&2; exit 1", "moov atom not found"),
        ("echo Output file does not contain any stream >&2; exit 1", "no audio track in this file"),
        ("head -c 99999 /dev/zero; exit 3", "ffmpeg: failed"),
        ("exit 0", "holds no samples"),
    ],
)
def test_a_failure_of_ffmpeg_is_reported_in_its_words(m4a, monkeypatch, script, message):
    monkeypatch.setenv("PATH", fake_ffmpeg(m4a.parent, script))
    with pytest.raises(AudioError, match=rf"talk\.m4a: .*{message}"):
        load_audio(m4a)


def test_ffmpeg_is_stopped_when_no_more_blocks_are_read(m4a, monkeypatch):
    script = f"echo $$ > {m4a.parent}/id; head -c 999999 /dev/zero; exec sleep 1000"
    monkeypatch.setenv("PATH", fake_ffmpeg(m4a.parent, script))
    blocks = audio_blocks(m4a)
    next(blocks)
    blocks.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((m4a.parent / "id").read_text()), 0)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("name", ["talk.m4a", "talk.mp4", "talk.webm", "talk.aac", "-talk.mkv"])
def test_formats_that_only_ffmpeg_knows_are_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    speech = load_audio(DEMO_RECORDING / "recording.opus")[: 5 * 16000]
    soundfile.write("x.wav", speech, 16000)
    picture = ["-f", "lavfi", "-i", "color=size=32x32"] if name.endswith(("mp4", "mkv")) else []
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error"]
    subprocess.run([*ffmpeg, *picture, "-i", "x.wav", "-shortest", "-t", "5", f"file:{name}"], check=True)
    for source in (name, (tmp_path / name).read_bytes()):
        samples = load_audio(source)
        lag = scipy.signal.correlate(samples, speech).argmax() - len(speech) + 1  # codecs begin with a little silence
        overlap = min(len(samples) - lag, len(speech))
        assert 0 <= lag < 3000
        assert np.corrcoef(samples[lag : lag + overlap], speech[:overlap])[0, 1] > 0.9
    if picture:
        subprocess.run([*ffmpeg, *picture, "-t", "1", "file:silent.mp4"], check=True)
        with pytest.raises(AudioError, match=r"^silent\.mp4: there is no audio track"):
            load_audio("silent.mp4")


@pytest.mark.parametrize("kind", [np.array, mx.array])
def test_pad_or_trim(kind):
    array = kind(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert pad_or_trim(array, 2).tolist() == [[0, 1], [3, 4]]
    assert pad_or_trim(array, 4).tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]
    assert pad_or_trim(array, 1, axis=0).tolist() == [[0, 1, 2]]
    assert pad_or_trim(array, 3, axis=0).tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0]]
