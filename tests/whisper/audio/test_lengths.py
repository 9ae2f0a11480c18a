"""The lengths of recordings as their headers give them."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.lengths import header_seconds
from mlx_whisper_lora.whisper.audio.load import load_audio
from tests.support.clips import tone

FORMATS = {
    "wav": {}, "24.wav": {"subtype": "PCM_24"}, "float.wav": {"subtype": "FLOAT"}, "flac": {}, "mp3": {}, "aiff": {},
    "w64": {}, "ogg": {"subtype": "VORBIS"}, "opus": {"format": "OGG", "subtype": "OPUS"},
    "law.wav": {"subtype": "ULAW"},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("seconds", "rate"), [(0.8, 16000), (7.3, 24000)])
def test_a_header_gives_the_length_that_is_decoded(name, seconds, rate, tmp_path):
    path = tmp_path / f"a.{name}"
    soundfile.write(path, np.stack([tone(seconds, rate=rate)] * 2, axis=1), rate, **FORMATS[name])
    decoded = len(load_audio(path)) / 16000
    given = {header_seconds(path), header_seconds(path.read_bytes())}
    if name == "law.wav":  # what is not known for sure is left to the decoder
        assert given == {None}
    else:
        assert len(given) == 1 and given.pop() == pytest.approx(decoded, abs=0.1 if name == "mp3" else 0.001)


def test_the_length_of_a_long_recording_is_that_of_its_last_page():
    if not (DEMO_CLIPS / "train.opus").exists():
        pytest.skip("the bundled demo clips are not built")
    path = DEMO_CLIPS / "valid.opus"
    assert header_seconds(path) == pytest.approx(len(load_audio(path)) / 16000, abs=0.001)


@pytest.mark.parametrize("name", ["wav", "opus", "ogg"])
def test_a_recording_whose_end_is_missing_is_left_to_the_decoder(name, tmp_path):
    path = tmp_path / f"a.{name}"
    soundfile.write(path, tone(3.0), 16000, **FORMATS[name])
    data = path.read_bytes()
    assert header_seconds(data[: len(data) // 2]) is None


def test_a_recording_that_another_one_follows_is_left_to_the_decoder(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(3.0), 16000)
    assert header_seconds((tmp_path / "a.wav").read_bytes() * 2) is None


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"OggS", b"fLaC\0\0\0\x22", b"ID3", b"hello"])
def test_what_is_not_a_recording_has_no_length(data):
    assert header_seconds(data) is None
