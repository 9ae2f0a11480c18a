"""Windows as short as the clips: whisper-base makes about as many errors as in 30 s, without an adapter."""

import numpy as np
import pytest

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.audio.load import audio_blocks
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.real.recordings import recording
from tools.real.short_windows import write_utterances


@pytest.mark.usefixtures("recordings")
def test_a_sentence_of_11_seconds_is_the_same_in_a_short_window(base):
    samples = recording("speech/jfk.flac")
    options = {"language": "en", "temperature": 0.0}
    full, short = (transcribe(base, samples, audio_context=context, **options) for context in (30, AUTO))
    assert full["text"].startswith(" And so my fellow Americans")
    normalize = NORMALIZERS["english"]
    assert normalize(short["text"]) == normalize(full["text"])


@pytest.mark.usefixtures("recordings")
def test_utterances_are_neither_repeated_nor_lost_in_short_windows(base, tmp_path):
    clips = load_clips(write_utterances(tmp_path))["test"][:20]
    texts = []
    for clip in clips:
        samples = np.concatenate([*audio_blocks(clip.audio, start=clip.start, end=clip.end)])
        texts.append(transcribe(base, samples, language="en", temperature=0.0, audio_context=AUTO)["text"])
    assert word_error_rate([clip.text for clip in clips], texts, NORMALIZERS["english"]) < 20  # without silence: 200
