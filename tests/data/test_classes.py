"""Clips with labels as examples of classes."""

import json
from collections import Counter

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data import classes
from mlx_whisper_lora.data.array_cache import ArrayCache
from mlx_whisper_lora.data.classes import (
    balance,
    build_class_examples,
    choose_clips,
    class_weights,
    find_classes,
    whole_clips,
)
from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import LabelOptions
from tests.support.clips import tone, write_jsonl


@pytest.fixture
def folder(tmp_path):
    rows = []
    for i, (label, seconds) in enumerate([("EGY", 1), ("EGY", 70), ("EGY", 1), ("GLF", 1)]):
        soundfile.write(tmp_path / f"{i}.wav", tone(seconds), 16000)
        rows.append({"file_name": f"{i}.wav", "dialect": label, "split": "train"})
    write_jsonl(tmp_path / "metadata.jsonl", rows)
    return tmp_path


def examples_of(folder):
    clips = load_clips(folder, options=LabelOptions())["train"]
    bad: list[DataError] = []
    examples = build_class_examples(clips, find_classes(clips), 80, bad, ArrayCache(0, "test-"))
    assert bad == []
    return examples


def test_a_label_is_the_number_of_its_class_and_a_long_clip_has_windows(folder):
    examples = examples_of(folder)
    assert [each.tokens for each in examples] == [(0,)] * 5 + [(1,)]
    assert whole_clips(examples) == [[0], [1, 2, 3], [4], [5]]
    windows = [each.clip for each in examples[1:4]]
    assert [clip.start for clip in windows] == pytest.approx([0, 70 / 3, 140 / 3])
    assert [clip.end for clip in windows] == pytest.approx([70 / 3, 140 / 3, 70])
    joined = np.concatenate([each.features.read_samples() for each in examples[1:4]])
    assert joined == pytest.approx(soundfile.read(folder / "1.wav", dtype="float32")[0], abs=1e-6)


def test_a_long_clip_whose_header_gives_no_length_has_windows_too(folder, monkeypatch):
    """As of M4A and other formats that ffmpeg decodes."""
    monkeypatch.setattr(classes, "header_length", lambda clip: None)
    assert [len(places) for places in whole_clips(examples_of(folder))] == [1, 3, 1, 1]


def test_rare_classes_are_drawn_as_often_or_count_as_much(folder):
    examples = examples_of(folder)
    assert Counter(each.text for each in balance(examples, 0)) == {"EGY": 5, "GLF": 5}
    weights = class_weights(examples, ("EGY", "GLF"))
    assert weights == pytest.approx({"EGY": 6 / 10, "GLF": 6 / 2})
    assert sum(weights[each.text] for each in examples) == pytest.approx(len(examples))


def test_at_most_so_many_clips_of_each_class_are_chosen():
    splits = {"train": [Clip(f"{i}.wav", "ab"[i % 2]) for i in range(20)], "valid": [], "test": []}
    chosen = choose_clips(splits, 3, seed=0)["train"]
    assert Counter(clip.text for clip in chosen) == {"a": 3, "b": 3}
    assert choose_clips(splits, 3, seed=0)["train"] == chosen != choose_clips(splits, 3, seed=1)["train"]


def test_labels_are_in_the_column_that_is_named(folder):
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    write_jsonl(folder / "metadata.jsonl", [row | {"region": "north"} for row in rows])
    clips = load_clips(folder, options=LabelOptions(label_column="region"))["train"]
    assert {clip.text for clip in clips} == {"north"}
    with pytest.raises(DataError, match="all train clips have the label 'north': two classes are needed"):
        find_classes(clips)
