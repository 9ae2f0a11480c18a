"""Audio that is read in the background, and clips that only decoding shows to be bad."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data import dataset
from mlx_whisper_lora.data.ahead import DrawnBatch, LateErrors, decodable, read_ahead
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.batches import batch_frames
from mlx_whisper_lora.data.clip import BadClipsError, Clip, DataError
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone
from tests.support.models import small_model


def write(path: Path, seconds: float, hertz: float = 440.0) -> bytes:
    soundfile.write(path, tone(seconds, hertz), 16000)
    return path.read_bytes()


@pytest.fixture
def sounds(tmp_path) -> list[Path]:
    """Four FLAC files: the second is damaged, the third goes on after the length in its header."""
    for i in range(4):
        write(tmp_path / f"{i}.flac", 1.0, 300 + 100 * i)
    damaged = bytearray(write(tmp_path / "1.flac", 1.0))
    (tmp_path / "1.flac").write_bytes(damaged[: len(damaged) // 2])
    (tmp_path / "2.flac").write_bytes(write(tmp_path / "2.flac", 1.0) * 2)
    return [tmp_path / f"{i}.flac" for i in range(4)]


@pytest.fixture
def examples_of(monkeypatch):
    """Return a function that builds examples as if there were many: from headers."""
    monkeypatch.setattr(dataset, "_FEW", 0)

    def build(sounds: list[Path], **options) -> list[Example]:
        clips = [Clip(path, "a", "en", origin=f"train.jsonl, line {i}") for i, path in enumerate(sounds, start=1)]
        return build_examples(clips, small_model(), **options).examples

    return build


def test_examples_come_in_order_with_the_log_mels_of_their_clips(sounds, examples_of):
    examples = examples_of([sounds[0], sounds[3]])
    drawn = [DrawnBatch(examples), DrawnBatch(examples[:1], 30.0)] * 10
    batches = list(read_ahead(drawn, LateErrors(skip=False, report=print)))
    assert [(len(batch.examples), batch.audio_context) for batch in batches] == [(2, 0.0), (1, 30.0)] * 10
    for example, path in zip(batches[0].examples, (sounds[0], sounds[3]), strict=True):
        np.testing.assert_array_equal(example.features, clip_frames(load_audio(path), 80))


def test_a_clip_that_cannot_be_decoded_ends_the_run_when_its_batch_comes(sounds, examples_of):
    examples = examples_of(sounds[:2])
    batches = read_ahead(map(DrawnBatch, [examples[:1], examples[1:]]), LateErrors(skip=False, report=print))
    assert len(next(batches).examples) == 1
    with pytest.raises(DataError, match=r"^train\.jsonl, line 2: .*1\.flac: the recording is cut short or damaged"):
        next(batches)


def test_a_clip_that_is_skipped_is_reported_once(sounds, examples_of):
    examples, reports = examples_of(sounds[:2]), []
    errors = LateErrors(skip=True, report=reports.extend)
    batches = list(read_ahead(map(DrawnBatch, [examples, examples[1:], examples[:1]]), errors))
    assert [len(batch.examples) for batch in batches] == [1, 1]
    assert [str(error).partition(":")[0] for error in reports] == ["train.jsonl, line 2"]


def test_the_decoded_length_counts_and_not_that_of_the_header(sounds, examples_of):
    (example,) = examples_of([sounds[2]])
    tokenizer = get_tokenizer(True, language="en")
    assert example.n_frames == 100 and example.timed.tokens[-2] == tokenizer.timestamp(1.0)
    loaded = example.with_timestamps().loaded()
    assert loaded.n_frames == 200 and loaded.tokens[-2] == tokenizer.timestamp(2.0)
    assert batch_frames([loaded]) >= 200


def test_a_clip_that_turns_out_too_long_is_dropped_and_named(sounds, examples_of):
    reports: list[DataError] = []
    examples = examples_of([sounds[0], sounds[2]], max_seconds=1.5)
    assert decodable(examples, LateErrors(skip=False, report=reports.extend)) == examples[:1]
    assert re.search(r"line 2: .*2\.flac: longer than 1\.5 s, and its header promises 1\.0 s", str(reports[0]))


def test_a_cache_keeps_what_was_decoded(sounds, examples_of):
    cache = ArrayCache(1e6, "test-")
    (example,) = examples_of(sounds[:1], cache=cache)
    first = example.mel
    sounds[0].unlink()
    np.testing.assert_array_equal(example.mel, first, strict=True)


def test_of_a_few_clips_all_that_cannot_be_used_are_named_before_training(sounds):
    clips = [Clip(path, "a", "en") for path in [*sounds, sounds[1]]]
    with pytest.raises(BadClipsError, match=r"^2 clips cannot be used"):
        build_examples(clips, small_model())
