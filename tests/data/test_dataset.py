"""Clips read as examples."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.whisper.audio.load import AudioError
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone
from tests.support.models import small_model
from tests.support.processes import fake_ffmpeg


@pytest.fixture
def sound(tmp_path):
    soundfile.write(tmp_path / "sound.flac", np.stack([tone(1.0, rate=22050)] * 2, axis=1), 22050)
    return tmp_path / "sound.flac"


def test_recordings_become_frames_and_texts_tokens(sound):
    (example,), _ = build_examples([Clip(sound, "hello", "te")], small_model(), None, "transcribe")
    tokenizer = get_tokenizer(True, language="te")
    assert example.mel.shape == (104, 80)
    assert example.tokens == (
        *tokenizer.sot_sequence_including_notimestamps,
        *tokenizer.encode(" hello"),
        tokenizer.eot,
    )
    assert (example.prompt_length, example.text, example.language) == (4, "hello", "te")


def test_the_language_given_goes_before_the_clips_own(sound):
    (example,), _ = build_examples([Clip(sound, "hello", "te")], small_model(), "hi", "translate")
    tokenizer = get_tokenizer(True, language="hi", task="translate")
    assert example.language == "hi" and example.tokens[:3] == tokenizer.sot_sequence


def test_mel_bands_are_the_models(sound):
    (example,), _ = build_examples([Clip(sound, "hello")], small_model(n_mels=128, n_vocab=51866), "yue", "transcribe")
    assert example.mel.shape == (104, 128) and example.tokens[1] == 50358


def test_an_english_only_model_needs_no_language(sound):
    model = small_model(n_vocab=51864)
    (example,), _ = build_examples([Clip(sound, "hello")], model, None, "transcribe")
    assert example.tokens[:2] == (50257, 50362) and example.language is None


@pytest.mark.parametrize(
    ("n_vocab", "clip_language", "language", "task", "message"),
    [
        (51865, None, None, "transcribe", "its language is not known; give --language"),
        (51865, "yue", None, "transcribe", "this model does not know language 'yue'"),
        (51864, "te", None, "transcribe", "this model is English-only"),
        (51864, None, None, "translate", "this model is English-only"),
    ],
)
def test_a_language_that_the_model_lacks_is_told_by_clip(n_vocab, clip_language, language, task, message, sound):
    with pytest.raises(DataError, match=message) as error:
        build_examples([Clip(sound, "hello", clip_language)], small_model(n_vocab=n_vocab), language, task)
    assert str(error.value).startswith(str(sound))


def test_more_text_than_the_decoder_takes_is_told(sound):
    with pytest.raises(DataError, match="its text takes 105 tokens, and the decoder has room for 64; cut the clip"):
        build_examples([Clip(sound, "a " * 100, "en")], small_model(), None, "transcribe")


def test_an_unreadable_recording_is_told(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"text\.wav: not a readable sound file"):
        build_examples([Clip(tmp_path / "text.wav", "hello", "en")], small_model(), None, "transcribe")


def left_out(clips: list[Clip], longest: float) -> list[Clip]:
    """The clips that are, the others being read."""
    examples, long = build_examples(clips, small_model(), "en", "transcribe", longest)
    assert len(examples) + len(long) == len(clips)
    return long


def test_clips_of_over_30_seconds_are_left_out(tmp_path):
    for seconds in (1, 8.5, 30, 30.1):
        soundfile.write(tmp_path / f"{seconds}.wav", np.zeros(round(seconds * 2000)), 2000)
    clips = [Clip(tmp_path / f"{name}.wav", "") for name in ("1", "8.5", "30", "30.1")]
    assert left_out(clips, longest=30) == [clips[3]]
    assert left_out(clips, longest=8) == clips[1:]


def test_a_clip_that_takes_ffmpeg_is_decoded_once_and_not_beyond_30_seconds(tmp_path, monkeypatch):
    (tmp_path / "talk.m4a").write_bytes(b"....ftypM4A ")
    clip = Clip(tmp_path / "talk.m4a", "")
    for sound, expected in (("head -c 960000 /dev/zero", []), ("cat /dev/zero", [clip])):
        monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, f"echo run >>{tmp_path / 'runs'}; exec {sound}"))
        assert left_out([clip], longest=30) == expected
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
