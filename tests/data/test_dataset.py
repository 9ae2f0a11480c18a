"""Clips turned into examples."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.dataset import DroppedClip, build_examples
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone
from tests.support.models import small_model
from tests.support.processes import fake_ffmpeg


@pytest.fixture
def sound(tmp_path):
    soundfile.write(tmp_path / "sound.flac", np.stack([tone(1.0, rate=22050)] * 2, axis=1), 22050)
    return tmp_path / "sound.flac"


def test_audio_becomes_frames_and_text_becomes_tokens(sound):
    (example,), _ = build_examples([Clip(sound, "hello", "te")], small_model(), None, "transcribe")
    tokenizer = get_tokenizer(True, language="te")
    assert example.mel.shape == (100, 80)
    assert example.tokens == (
        *tokenizer.sot_sequence_including_notimestamps,
        *tokenizer.encode(" hello"),
        tokenizer.eot,
    )
    assert (example.prompt_length, example.text, example.language) == (4, "hello", "te")


def test_a_given_language_replaces_that_of_the_clips(sound):
    (example,), _ = build_examples([Clip(sound, "hello", "te")], small_model(), "hi", "translate")
    tokenizer = get_tokenizer(True, language="hi", task="translate")
    assert example.language == "hi" and example.tokens[:3] == tokenizer.sot_sequence


def test_the_task_of_a_clip_counts_before_that_of_the_run(sound):
    clips = [Clip(sound, "hello", "te", task=task) for task in ("translate", None)]
    examples, _ = build_examples(clips, small_model(), task="transcribe")
    for example, task in zip(examples, ("translate", "transcribe"), strict=True):
        assert example.task == task
        assert example.tokens[:3] == get_tokenizer(True, language="te", task=task).sot_sequence


@pytest.mark.parametrize(("own", "expected"), [("te", "te"), (None, "hi")])
def test_the_default_language_is_that_of_clips_without_one(own, expected, sound):
    (example,), _ = build_examples([Clip(sound, "hello", own)], small_model(), default_language="hi")
    assert example.language == expected


def test_a_clip_is_a_stretch_of_a_recording_or_of_bytes(tmp_path):
    path = tmp_path / "talk.flac"
    soundfile.write(path, tone(3.0), 16000)
    clips = [Clip(audio, "hello", "en", start=0.5, end=2.0) for audio in (path, path.read_bytes())]
    examples, _ = build_examples(clips, small_model())
    expected = clip_frames(load_audio(path)[8000:32_000], 80)
    for example in examples:
        np.testing.assert_array_equal(example.mel, expected)


def test_mel_bands_are_the_models(sound):
    (example,), _ = build_examples([Clip(sound, "hello")], small_model(n_mels=128, n_vocab=51866), "yue", "transcribe")
    assert example.mel.shape == (100, 128) and example.tokens[1] == 50358


def test_an_english_only_model_needs_no_language(sound):
    model = small_model(n_vocab=51864)
    (example,), _ = build_examples([Clip(sound, "hello")], model, None, "transcribe")
    assert example.tokens[:2] == (50257, 50362) and example.language is None


@pytest.mark.parametrize(
    ("n_vocab", "clip_language", "language", "task", "message"),
    [
        (51865, None, None, "transcribe", "its language is not known; give --language"),
        (51865, "xx", None, "transcribe", "unknown language 'xx': give a near one that Whisper knows"),
        (51865, "yue", None, "transcribe", "this model does not know language 'yue'"),
        (51864, "te", None, "transcribe", "this model is English-only"),
        (51864, None, None, "translate", "this model is English-only"),
    ],
)
def test_a_language_that_the_model_does_not_know_is_refused(n_vocab, clip_language, language, task, message, sound):
    with pytest.raises(DataError, match=message) as error:
        build_examples([Clip(sound, "hello", clip_language)], small_model(n_vocab=n_vocab), language, task)
    assert str(error.value).startswith(str(sound))


def test_a_language_that_whisper_lacks_borrows_the_nearest_and_a_warning_says_so(sound):
    message = r"does not know Divehi \(dv\), so it is taken for Sinhala \(si\), its nearest relative"
    with pytest.warns(UserWarning, match=message) as noted:
        ((example, _), _) = build_examples([Clip(sound, "hello", "dv"), Clip(sound, "yes", "dv")], small_model())
    assert (example.language, example.tokens[1]) == ("si", 50322)
    assert len({str(each.message) for each in noted}) == 1


def test_a_text_longer_than_transcription_writes_is_dropped(sound):
    """ " a" is one token, and a transcript of this model has 32 of them."""
    clips = [Clip(sound, "a " * count, "en") for count in (32, 33)]
    examples, dropped = build_examples(clips, small_model())
    assert [example.text for example in examples] == ["a " * 32]
    assert dropped == [DroppedClip(clips[1], "texts of over 32 tokens")]
    assert len(build_examples(clips, small_model(), max_tokens=33).examples) == 2
    # The decoder reads at most 64 tokens: 4 of the prompt, and the end of the text.
    assert build_examples([Clip(sound, "a " * 60, "en")], small_model(), max_tokens=99).examples == []


def test_a_file_that_is_not_audio_is_refused(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(DataError, match=r"^train\.jsonl, line 7: .*text\.wav: not a readable audio file"):
        build_examples([Clip(tmp_path / "text.wav", "hello", "en", origin="train.jsonl, line 7")], small_model())


def test_a_clip_that_ends_after_its_recording_is_refused(sound):
    with pytest.raises(DataError) as error:
        build_examples([Clip(sound, "hello", "en", 0.5, 1.5, origin="train.jsonl, line 7")], small_model())
    assert str(error.value) == (
        f"train.jsonl, line 7: {sound}: the recording ends at 1.00 s, and the clip at 1.50 s; correct its times"
    )


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [(0, None, "talk.opus"), (12.5, 14.2, "talk.opus, 12.50 to 14.20 s"), (12.5, None, "talk.opus, from 12.50 s")],
)
def test_a_clip_has_a_short_name(start, end, name):
    assert Clip("talk.opus", "hello", start=start, end=end).name == name


def dropped_clips(clips: list[Clip], max_seconds: float) -> list[Clip]:
    examples, dropped = build_examples(clips, small_model(), "en", max_seconds=max_seconds)
    assert len(examples) + len(dropped) == len(clips)
    return [each.clip for each in dropped]


def test_the_reason_for_dropping_a_clip_is_returned(sound):
    clip = Clip(sound, "hello", "en")
    assert build_examples([clip], small_model(), max_seconds=0.5) == ([], [DroppedClip(clip, "longer than 0.5 s")])


def test_clips_of_over_30_seconds_are_dropped(tmp_path):
    for seconds in (1, 8.5, 30, 30.1):
        soundfile.write(tmp_path / f"{seconds}.wav", np.zeros(round(seconds * 2000)), 2000)
    clips = [Clip(tmp_path / f"{name}.wav", "") for name in ("1", "8.5", "30", "30.1")]
    assert dropped_clips(clips, max_seconds=30) == [clips[3]]
    assert dropped_clips(clips, max_seconds=8) == clips[1:]


def test_ffmpeg_decodes_a_clip_once_and_not_beyond_30_seconds(tmp_path, monkeypatch):
    (tmp_path / "talk.m4a").write_bytes(b"\0\0\0\x0cftypM4A \0\0\0\x08moov")
    clip = Clip(tmp_path / "talk.m4a", "")
    for sound, expected in (("head -c 960000 /dev/zero", []), ("cat /dev/zero", [clip])):
        monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, f"echo run >>{tmp_path / 'runs'}; exec {sound}"))
        assert dropped_clips([clip], max_seconds=30) == expected
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
