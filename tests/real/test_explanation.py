"""Maps of whisper-base fall on the speech of a recording."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.explanation.attention import attention_maps
from mlx_whisper_lora.explanation.gradients import gradient_maps
from mlx_whisper_lora.explanation.masks import mask_maps
from mlx_whisper_lora.explanation.targets import transcript_targets
from mlx_whisper_lora.explanation.transcript import find_transcript
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from tools.real.explain import digits, in_the_middle, share_of
from tools.real.planted_cue import measure, train, write_clips


@pytest.mark.slow
@pytest.mark.usefixtures("recordings")
def test_maps_of_a_digit_in_room_noise_fall_on_the_digit(base):
    spoken, word = next(digits())
    samples, frames = in_the_middle(spoken, level=0.003)
    mel = clip_frames(samples, 80)
    transcript = find_transcript(base, mx.array(mel), "en", text=word)
    targets = transcript_targets(base, transcript, [transcript.whole()], len(mel))
    maps = [
        mask_maps(targets, mel, steps=40),
        gradient_maps(targets, mel),
        attention_maps(base, transcript, [transcript.whole()], mel),
    ]
    share_of_time = (frames.stop - frames.start) / len(mel)
    shares = np.array([share_of(each[0], frames) for each in maps])
    assert share_of_time < 0.4 and (shares > 1.5 * share_of_time).all(), shares


@pytest.mark.slow
@pytest.mark.usefixtures("recordings")
def test_a_tone_that_was_planted_in_one_class_is_found(tmp_path):
    folder = write_clips(tmp_path / "clips")
    rows = [*measure(train(folder, tmp_path / "adapters.npz", iters=60), folder, count=4)]
    for method in ("mask", "integrated"):
        its = [row for row in rows if row["method"] == method]
        assert np.mean([row["overlap"] for row in its]) > 0.4 > 5 * np.mean([row["random"] for row in its])
