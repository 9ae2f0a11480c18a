"""Clips by their content: splits and duplicates."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlx_whisper_lora.data.clip import Clip, Splits
from mlx_whisper_lora.data.content import Duplicate, audio_hash, find_duplicates, split_by_content


def clips(count: int, speakers: int = 0) -> list[Clip]:
    return [
        Clip(f"audio {i}".encode(), f"text {i}", speaker=f"speaker {i % speakers}" if speakers else None)
        for i in range(count)
    ]


def split_of(splits: Splits) -> dict[Clip, str]:
    return {clip: split for split, found in splits.items() for clip in found}


def test_about_a_tenth_of_the_clips_is_kept_for_each_of_validation_and_test():
    splits = split_by_content(clips(1000))
    assert sum(map(len, splits.values())) == 1000
    assert 80 <= len(splits["valid"]) <= 120 and 80 <= len(splits["test"]) <= 120


def test_clips_that_are_added_or_reordered_move_no_other_clip():
    before = split_of(split_by_content(clips(60)))
    after = split_of(split_by_content(clips(90)[::-1]))
    assert {clip: after[clip] for clip in before} == before


def test_the_splits_of_earlier_versions_stay():
    """A new version that drew other splits would test adapters on clips that they were trained on."""
    splits = split_by_content(clips(12))
    assert {split: [clip.text for clip in splits[split]] for split in ("valid", "test")} == {
        "valid": ["text 8"],
        "test": ["text 11"],
    }


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1))])
def test_few_clips_keep_some_to_train_on(count, sizes):
    assert tuple(len(found) for found in split_by_content(clips(count)).values()) == sizes


@pytest.mark.parametrize("speakers", [3, 6, 50])
def test_a_speaker_is_in_one_split(speakers):
    splits = split_by_content(clips(300, speakers))
    assert all(splits.values())
    found = [{clip.speaker for clip in splits[split]} for split in splits]
    assert sum(map(len, found)) == len(set.union(*found)) == speakers


@pytest.mark.parametrize("speakers", [1, 2])
def test_clips_of_one_or_two_speakers_are_split_as_if_these_were_unknown(speakers):
    found = split_of(split_by_content(clips(100, speakers)))
    expected = split_of(split_by_content(clips(100)))
    assert {clip.text: split for clip, split in found.items()} == {clip.text: s for clip, s in expected.items()}


def test_a_speaker_with_most_of_the_clips_always_trains():
    many = [Clip(f"{i}".encode(), "", speaker="A") for i in range(100)]
    few = [Clip(f"{name}{i}".encode(), "", speaker=name) for name in "BCDEF" for i in range(10)]
    splits = split_by_content(many + few)
    assert set(many) <= set(splits["train"]) and splits["valid"] and splits["test"]


def stretches(recordings: int, each: int) -> list[Clip]:
    names = [f"talk {i}".encode() for i in range(recordings)]
    return [Clip(name, f"{j}", start=j * 2.0, end=j * 2.0 + 1) for name in names for j in range(each)]


@pytest.mark.parametrize("recordings", [3, 6, 50])
def test_the_stretches_of_a_recording_are_in_one_split(recordings):
    splits = split_by_content([*stretches(recordings, 8), *clips(5)])
    assert all(splits.values())
    found = [{clip.audio for clip in splits[split] if clip.end} for split in splits]
    assert sum(map(len, found)) == len(set.union(*found)) == recordings


def test_recordings_are_also_kept_together_if_there_are_too_few_speakers():
    (alone, *others) = [replace(clip, speaker="A") for clip in stretches(12, 4)]
    splits = split_by_content([replace(alone, speaker="B"), *others])
    assert all(len({clip.audio for clip in splits[split]}) == len(splits[split]) / 4 for split in splits)


@pytest.mark.parametrize("recordings", [1, 2])
def test_the_stretches_of_one_or_two_recordings_are_split_themselves(recordings):
    assert all(split_by_content(stretches(recordings, 40)).values())


def test_the_same_audio_is_found_in_files_and_stretches(tmp_path):
    for name, content in (("a.wav", b"one"), ("b.wav", b"one"), ("c.wav", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (Clip(tmp_path / f"{name}.wav", name) for name in "abc")
    stretch, same = (Clip(tmp_path / f"{name}.wav", "x", start=1.0, end=2.0) for name in "ab")
    found = find_duplicates({"train": [a, c, stretch], "valid": [same], "test": [b]})
    assert found == [Duplicate(same, "valid", stretch, "train"), Duplicate(b, "test", a, "train")]


def test_a_stream_has_no_hash(tmp_path):
    Path(tmp_path / "a.wav").write_bytes(b"one")
    with (tmp_path / "a.wav").open("rb") as stream:
        assert audio_hash(Clip(stream, "")) is None
        assert stream.read() == b"one"


def test_files_that_differ_between_the_pieces_that_are_hashed_are_not_duplicates(tmp_path):
    same, other = bytes(100_000), bytearray(100_000)
    other[20_000] = 1
    for name, content in (("a.wav", same), ("b.wav", other), ("c.wav", same), ("d.wav", same + b"\0")):
        (tmp_path / name).write_bytes(content)
    a, b, c, d = (Clip(tmp_path / f"{name}.wav", name) for name in "abcd")
    assert audio_hash(a) == audio_hash(b) != audio_hash(d)
    assert find_duplicates({"train": [a, b, c, d], "valid": [], "test": []}) == [Duplicate(c, "train", a, "train")]
