"""Scores of transcripts of long recordings."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import Clip
from tests.support.clips import tone
from tools.real.joined import Segment, join_clips, looped_tokens, right_times, share, word_errors


def test_clips_are_joined_by_speaker_with_pauses(tmp_path):
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", tone(2.0, 200 + 50 * i), 16000)
    clips = [Clip(tmp_path / f"{i}.wav", str(i), "en", speaker="ba"[i % 2]) for i in range(6)]
    first, second = join_clips(clips, 12)
    assert [segment.text for each in (first, second) for segment in each.segments] == ["1", "3", "5", "0", "2", "4"]
    start, end, _ = first.segments[1]
    assert 2.3 <= start <= 3.2 and end == pytest.approx(start + 2)
    np.testing.assert_allclose(first.samples[round(16000 * start) : round(16000 * end)], tone(2.0, 350), atol=1e-4)


def test_each_segment_has_its_word_errors():
    segments = [Segment(0, 1, "One, two"), Segment(2, 3, "three four five")]
    assert word_errors(segments, "one too three five five six", str.lower) == [(2, 2), (2, 3)]


def test_a_segment_is_found_if_its_start_and_end_are_near():
    found = [{"start": 0.2, "end": 0.9}, {"start": 2.0, "end": 3.5}]
    assert right_times([Segment(0, 1, ""), Segment(2, 3, "")], found) == [(1, 1), (0, 1)]


@pytest.mark.parametrize(
    ("tokens", "looped"), [([1, 2, 3, 1, 2], 0), ([1, 2, 1, 2, 1, 2, 3], 4), ([5, 7, 7, 7, 7, 7, 5], 4), ([], 0)]
)
def test_tokens_that_repeat_at_least_twice_are_in_loops(tokens, looped):
    (first, n_first), (second, n_second) = looped_tokens([tokens[:3], tokens[3:]])
    assert (first + second, n_first + n_second) == (looped, len(tokens))


def test_a_share_has_an_interval():
    found = share([(1, 2), (0, 2)] * 50)
    assert found["value"] == 25 and 19 < found["interval"][0] < 25 < found["interval"][1] < 31
