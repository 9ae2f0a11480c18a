"""Transcripts as files, the same to the byte."""

import numpy as np
import pytest

from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.writers import SubtitleLayout, write_result
from tests.parity.pairs import DEMO, pair, recording
from tests.support.scripted import scripted_transcription
from tools.references import theirs


def written(folder, result: dict, output_format: str, **layout) -> dict[str, str]:
    """Return name -> text of the files that this port writes."""
    paths = write_result(result, folder, "talk.2024", output_format, SubtitleLayout(**layout))
    return {path.name: path.read_bytes().decode() for path in paths}


def random_layout(seed: int) -> dict:
    random = np.random.default_rng([seed, 3])
    limits = {"max_line_width": (4, 80), "max_line_count": (1, 4), "max_words_per_line": (1, 8)}
    layout = {name: int(random.integers(*limit)) for name, limit in limits.items() if random.random() < 0.5}
    return {"highlight_words": bool(random.random() < 0.5), **layout}


@pytest.mark.parametrize("seed", range(300, 320))
def test_files_of_scripted_transcripts_agree(seed, tmp_path):
    result, _ = scripted_transcription(seed, 120, language="en", temperature=0.0, word_timestamps=True)
    assert written(tmp_path, result, "all") == theirs.written(result, "all")
    layout = random_layout(seed)
    for suffix in ("srt", "vtt"):
        assert written(tmp_path, result, suffix, **layout) == theirs.written(result, suffix, **layout)


def test_files_of_a_real_transcript_agree(tmp_path):
    options = {"temperature": 0.0, "word_timestamps": True}
    result = transcribe(pair(DEMO).ours, recording()[: 16000 * 40], **options)
    for layout in ({}, {"highlight_words": True, "max_line_width": 20, "max_line_count": 2}):
        assert written(tmp_path, result, "all", **layout) == theirs.written(result, "all", **layout)
