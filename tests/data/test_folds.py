"""Clips in folds."""

import pytest

from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.folds import deal_folds


def clips(speakers: list[str | None]) -> list[Clip]:
    return [Clip(f"{i}.wav", f"word {i}", speaker=speaker) for i, speaker in enumerate(speakers)]


def test_every_clip_is_in_one_fold_and_no_speaker_in_two():
    given = clips([f"speaker {i * i % 11}" for i in range(40)])
    folds = deal_folds(given, 5, seed=0)
    assert sorted(place for fold in folds.places for place in fold) == [*range(40)]
    speakers = [{given[place].speaker for place in fold} for fold in folds.places]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 6
    assert folds.note == "no speaker of the 6 is in two of them"


def test_folds_are_of_one_size_if_the_groups_allow_it():
    folds = deal_folds(clips([f"speaker {i // 4}" for i in range(40)]), 5, seed=0)
    assert [len(fold) for fold in folds.places] == [8] * 5


def test_the_seed_decides_which_clips_are_together():
    given = clips([f"speaker {i}" for i in range(20)])
    first, again, other = (deal_folds(given, 4, seed).places for seed in (1, 1, 2))
    assert first == again != other


def test_fewer_speakers_than_folds_are_refused():
    with pytest.raises(DataError, match="the clips have 3 speakers, and 5 folds need one each: give at most 3 folds"):
        deal_folds(clips(["a", "b", "c"] * 5), 5, seed=0)


def test_without_several_speakers_a_recording_is_in_one_fold():
    stretches = [Clip(b"audio %d" % (i % 6), "word", start=float(i), end=i + 1.0) for i in range(24)]
    folds = deal_folds(stretches, 3, seed=0)
    recordings = [{stretches[place].audio for place in fold} for fold in folds.places]
    assert sum(map(len, recordings)) == len(set.union(*recordings)) == 6
    assert folds.note == "no recording is in two of them (their speakers are not known)"


def test_the_stretches_of_one_recording_are_dealt_one_by_one():
    stretches = [Clip("talk.wav", "word", start=float(i), end=i + 1.0, speaker="a") for i in range(9)]
    folds = deal_folds(stretches, 3, seed=0)
    assert [len(fold) for fold in folds.places] == [3] * 3
    assert folds.note == "clip by clip, because they have one speaker, and they are of 1 recording"
    with pytest.raises(DataError, match="there are 2 clips, and 3 folds need one each: give fewer folds"):
        deal_folds(stretches[:2], 3, seed=0)
