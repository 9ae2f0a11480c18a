"""Windows that join clips."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone
from tests.support.models import small_model

MODEL = small_model(n_text_ctx=448)
TOKENIZER = get_tokenizer(True, language="en")
SEGMENT = re.compile(r"<\|(\d+\.\d\d)\|>([^<]*)(?:<\|(\d+\.\d\d)\|>)?")


@pytest.fixture(scope="module")
def clips(demo_clips_folder, tmp_path_factory) -> list[Clip]:
    """Return 60 clips that follow each other in a recording, about two minutes in all."""
    recording = tmp_path_factory.mktemp("talk") / "talk.flac"
    clips = load_clips(demo_clips_folder)["train"][:60]
    soundfile.write(recording, load_audio(clips[0].audio, end=clips[-1].end), 16000)
    return [replace(clip, audio=recording) for clip in clips]


@pytest.fixture(scope="module")
def talk(clips) -> list[Example]:
    """Return the first 40 of them."""
    return build_examples(clips[:40], MODEL).examples


@pytest.fixture(scope="module")
def apart(clips) -> list[Example]:
    """Return every fifth, so that none follows another."""
    return build_examples(clips[::5], MODEL).examples


def draw(examples: Sequence[Example], anchors: Sequence[int] = (0,) * 40, **settings) -> list[Example]:
    """Draw windows that start with the examples of these numbers."""
    packer = Packer(examples, MODEL, "transcribe", **{"seconds": 30.0, "timestamps_share": 1.0} | settings)
    rng = np.random.default_rng(0)
    return [window for i in anchors for window in packer.draw([examples[i]], rng)]


def decoded(window: Example) -> tuple[str, str]:
    """Return the text before a window, and its label, with timestamps."""
    before, _, label = TOKENIZER.decode_with_timestamps(window.tokens).rpartition("<|startoftranscript|>")
    return before.removeprefix("<|startofprev|>"), label.removeprefix("<|en|><|transcribe|>")


def segments(label: str) -> list[tuple[float, str, float | None]]:
    """Return start, text and end of the segments of a label."""
    return [(float(start), text.strip(), float(end) if end else None) for start, text, end in SEGMENT.findall(label)]


def sounds(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the largest difference of each frame between log-mels, which may end a frame apart."""
    length = min(len(one), len(other))
    assert abs(len(one) - len(other)) <= 1
    return np.abs(one[:length] - other[:length]).max(axis=1)


def test_clips_that_follow_each_other_keep_the_audio_and_the_times_of_their_recording(talk):
    windows = [window for window in draw(talk) if decoded(window)[1].startswith("<|0.00|>")]
    assert windows
    for window in windows:
        start = talk[0].clip.start
        samples = load_audio(talk[0].clip.audio, start=start, end=start + window.seconds)
        assert sounds(window.mel, clip_frames(samples, 80)).max() < 1e-5
        for (begin, text, end), example in zip(segments(decoded(window)[1]), talk, strict=False):
            assert begin == pytest.approx(example.clip.start - start, abs=0.011)
            if end is not None:
                assert (text, end) == (example.text, pytest.approx(example.clip.end - start, abs=0.03))


def test_other_clips_are_joined_by_chance_with_pauses_and_none_twice(apart):
    windows = [segments(decoded(window)[1]) for window in draw(apart)]
    assert len({tuple(text for _, text, _ in window) for window in windows}) > 30
    for window in windows:
        texts = [text for _, text, end in window if end is not None]
        assert len(set(texts)) == len(texts) and set(texts) <= {example.text for example in apart}
        assert window[0][0] <= 1.0  # the latest that decoding allows
        pauses = [after - end for (*_, end), (after, *_) in pairwise(window)]
        assert all(0.18 <= pause <= 1.52 for pause in pauses)


def test_each_clip_sounds_at_the_time_of_its_label(apart):
    by_text = {example.text: example.mel for example in apart}
    for window in draw(apart, range(10)):
        floor = window.mel.max() - 2.0  # 80 dB
        for begin, text, end in segments(decoded(window)[1]):
            if end is not None:
                mel, first = np.maximum(by_text[text], floor), round(begin * 100)
                # A timestamp is a multiple of two frames.
                places = [window.mel[first + shift :][: len(mel)] for shift in (-1, 0, 1) if first + shift >= 0]
                assert min(np.abs(place - mel).max() for place in places if len(place) == len(mel)) < 1e-6


def test_a_full_window_may_cut_its_last_clip_which_then_has_a_start_alone(talk):
    windows = draw(talk, [*range(20)] * 3)
    n_cut = 0
    for window in windows:
        *_, (start, text, end) = segments(decoded(window)[1])
        if end is None:
            n_cut += 1
            assert window.seconds == 30 and text == "" and start <= 29.5
            assert decoded(window)[1].endswith(f"<|{start:.2f}|><|endoftext|>")
        else:
            assert end == pytest.approx(window.seconds, abs=0.02)
    assert 5 < n_cut < 30 and min(window.seconds for window in windows) < 15


def test_half_of_the_windows_have_the_text_before_them_as_prompt(talk):
    befores = [decoded(window)[0] for window in draw(talk, [20] * 40)]
    prompts = list(filter(None, befores))
    assert 10 < len(prompts) < 30
    for prompt in prompts:
        texts = [text for _, text, _ in segments(prompt)]
        assert texts == [example.text for example in talk[20 - len(texts) : 20]] and len(texts) > 5


def test_the_prompt_is_not_learned_and_leaves_room_for_the_label(talk):
    for window in draw(talk, [20] * 40):
        assert window.tokens[window.prompt_length - 3 : window.prompt_length] == TOKENIZER.sot_sequence
        assert len(window.tokens) <= 448


def test_windows_without_timestamps_are_never_cut(talk):
    for window in draw(talk, timestamps_share=0.0):
        label = decoded(window)[1]
        assert label == f"<|notimestamps|> {window.text}<|endoftext|>"
        assert window.text == " ".join(example.text for example in talk)[: len(window.text)]


def test_a_full_window_ends_with_the_tokens_that_transcription_writes(talk):
    windows = draw(talk, max_tokens=40)
    cut = [window for window in windows if window.tokens[-1] != TOKENIZER.eot]
    assert cut and all(window.n_targets == 40 and window.seconds > 27 for window in cut)
    assert all(window.n_targets <= 41 for window in windows)


def test_speakers_languages_and_tasks_are_not_mixed(tmp_path):
    clips = []
    for i in range(12):
        soundfile.write(tmp_path / f"{i}.wav", tone(2.0, 200 + 50 * i), 16000)
        speaker, language, task = "ab"[i % 2], "en" if i < 8 else "te", "translate" if i < 4 else None
        clips.append(Clip(tmp_path / f"{i}.wav", f"{speaker} {language} {task}", language, speaker=speaker, task=task))
    examples = build_examples(clips, MODEL).examples
    for anchor, example in enumerate(examples):
        for window in draw(examples, [anchor] * 5, timestamps_share=0.0):
            n_clips = len(window.text) // len(example.text)
            assert window.text == " ".join([example.text] * n_clips)
            assert example.tokens[:3] == window.tokens[-window.n_targets - 4 :][:3]  # the language and the task


def test_a_clip_of_weight_2_is_in_a_window_once(apart):
    for window in draw([each for each in apart for _ in range(2)]):
        texts = [text for _, text, end in segments(decoded(window)[1]) if end is not None]
        assert len(set(texts)) == len(texts)


def test_the_samples_of_a_window_are_those_of_its_log_mel(talk, apart):
    for window in [*draw(talk, range(5)), *draw(apart, range(5))]:
        differences = sounds(window.mel, clip_frames(window.features.read_samples(), 80))
        assert np.median(differences) < 1e-5 and np.mean(differences > 0.02) < 0.05  # a frame or two at each joint


def test_augmentation_changes_a_window_as_a_whole_and_its_times_with_it(apart):
    changer = Augmenter(AugmentationOptions(augment_speed=0.3), apart, MODEL, seed=0)
    factors = set()
    for number, window in enumerate(draw(apart, range(12))):
        changed = changer.load(window, number)
        factor = changed.n_frames / window.n_frames
        factors.add(round(factor, 1))
        before, after = (segments(decoded(each)[1]) for each in (window, changed))
        assert [text for _, text, _ in after] == [text for _, text, _ in before]
        for (start, _, end), (new_start, _, new_end) in zip(before, after, strict=True):
            assert new_start == pytest.approx(start * factor, abs=0.03)
            assert new_end == (end and pytest.approx(end * factor, abs=0.03))
        assert changed.n_frames <= 3000
    assert len(factors) > 2


def test_one_seed_gives_the_same_windows(apart):
    for one, same in zip(draw(apart, range(5)), draw(apart, range(5)), strict=True):
        np.testing.assert_array_equal(one.mel, same.mel)
        assert one.tokens == same.tokens


def test_what_is_joined_is_described(talk, tmp_path):
    for name, seconds in (("long", 29.5), ("silent", 2.0), ("other", 2.0)):
        soundfile.write(tmp_path / f"{name}.wav", tone(seconds), 16000)
    others = [
        Clip(tmp_path / "long.wav", "long", "en"),
        Clip(tmp_path / "silent.wav", "", "en"),
        Clip(tmp_path / "other.wav", "other", "te"),
    ]
    examples = [*talk, *build_examples(others, MODEL).examples]
    described = Packer(examples, MODEL, "transcribe", seconds=30.0, timestamps_share=0.5).describe()
    assert re.fullmatch(
        r"windows join 40 clips, on average \d+\.\d in \d\d s; 3 clips cannot be joined: 1 longer than 29\.3 s, "
        r"1 without text, 1 without another one to join",
        described,
    )
