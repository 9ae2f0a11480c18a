"""The silence that the decoder hears after a short window."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.whisper.model.silence import SILENT_LOG_MEL, SILENT_POSITIONS
from mlx_whisper_lora.whisper.model.whisper import AudioEncoder
from tests.support.models import seeded_model, small_model, window_mels


@pytest.fixture
def encoded(monkeypatch) -> list[tuple[int, int]]:
    """The frames, and the first position, of each call of an encoder."""
    calls: list[tuple[int, int]] = []
    encode = AudioEncoder.__call__

    def note(self, mel, first=0):
        calls.append((mel.shape[1], first))
        return encode(self, mel, first)

    monkeypatch.setattr(AudioEncoder, "__call__", note)
    return calls


def test_ten_seconds_of_silence_follow_a_short_window_at_their_positions():
    model, mel = seeded_model("english"), window_mels(80)[:2, :400]
    features = model.encode(mel)
    np.testing.assert_array_equal(features[:, :200], model.encoder(mel))
    silence = model.encoder(mx.full((1, 1000, 80), SILENT_LOG_MEL), 200)
    assert silence.shape[1] == SILENT_POSITIONS == 500
    for window in features:
        np.testing.assert_array_equal(window[200:], silence[0])
    assert not mx.allclose(silence, model.encoder(mx.full((1, 1000, 80), SILENT_LOG_MEL)))


@pytest.mark.parametrize(("frames", "silent"), [(2600, 200), (2998, 1), (3000, 0)])
def test_a_window_and_its_silence_last_30_s_at_most(frames, silent):
    model, mel = seeded_model("english"), window_mels(80)[:1, :frames]
    features = model.encode(mel)
    assert features.shape[1] == frames // 2 + silent
    np.testing.assert_array_equal(features[:, : frames // 2], model.encoder(mel))


def test_silence_is_encoded_once_for_a_length_until_the_encoder_changes(encoded):
    model, mel = small_model(), window_mels(80)
    for frames in (400, 400, 600, 400):
        before = model.encode(mel[:1, :frames])
    assert encoded == [(400, 0), (1000, 200), (400, 0), (600, 0), (1000, 300), (400, 0)]
    model.encoder.blocks[0].mlp2.bias = model.encoder.blocks[0].mlp2.bias + 1
    after = model.encode(mel[:1, :400])
    assert encoded[6:] == [(400, 0), (1000, 200)]
    assert not mx.allclose(after[:, 200:], before[:, 200:])
