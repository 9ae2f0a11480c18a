"""The command that teaches a model short windows."""

import re

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora import load_model, short_context
from mlx_whisper_lora.adapters.adapter_file import read_adapter, read_adapter_config
from mlx_whisper_lora.training.short_context import Stretch, cut, make_feature_batch
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from tests.support.clips import tone


@pytest.fixture(autouse=True)
def recordings(tmp_path, monkeypatch):
    """Forty seconds of tones in two files."""
    monkeypatch.chdir(tmp_path)
    for name, frequency in (("one", 300), ("two", 700)):
        pieces = [tone(1 + i % 3, frequency + 90 * i) for i in range(10)]
        soundfile.write(f"{name}.wav", np.concatenate(pieces), 16000)


def test_features_in_short_windows_come_near_those_in_30_s(model_folder, run_main):
    arguments = ("--audio", "*.wav", "--model", model_folder, "--steps-per-eval", 30, "--learning-rate", 0.01)
    outcome = run_main(short_context, *arguments, "--iters", 30)
    assert outcome.code == 0, outcome.err
    before, after = map(float, re.findall(r"differ from those in 30 s by ([\d.]+) %", outcome.out))
    assert after < 0.7 * before
    assert outcome.out.endswith("Saved adapter to short_context.npz\n")
    config = read_adapter_config("short_context.npz")
    assert (config.audio_context, config.settings.decoder_layers) == (AUTO, 0)
    assert all(path.startswith("encoder.") for path in read_adapter("short_context.npz").arrays)
    assert load_model(model_folder, adapter_file="short_context.npz").audio_context == AUTO
    again = run_main(short_context, *arguments)
    assert (again.code, "an adapter is there; give --overwrite" in again.err) == (2, True)


def test_recordings_are_cut_without_a_gap():
    stretches = list(cut(["one.wav", "two.wav"], seed=0))
    assert all(1 <= len(each) / 16000 <= 15 for each in stretches)
    samples = np.concatenate([soundfile.read(f"{name}.wav", dtype="float32")[0] for name in ("one", "two")])
    assert 0 <= len(samples) - sum(map(len, stretches)) < 2 * 16000  # a rest of less than a second in each
    np.testing.assert_array_equal(stretches[0], samples[: len(stretches[0])])


def test_only_the_positions_of_each_stretch_are_learned():
    rng = np.random.default_rng(0)
    short, long = (
        Stretch(rng.normal(size=(n, 80)), rng.normal(size=(positions, 4))) for n, positions in ((90, 75), (170, 100))
    )
    batch = make_feature_batch([short, long])
    assert batch.mel.shape == (2, 200, 80) and batch.features.shape == (2, 100, 4)
    assert batch.learned.sum(axis=1).flatten().tolist() == [75, 100]
    np.testing.assert_array_equal(batch.mel[0], pad_or_trim(short.mel.astype(np.float32), 200, axis=0))
    assert make_feature_batch([short], 3000).features.shape == (1, 1500, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--audio", "none.wav"), "none.wav: no such file"),
        (("--audio", "short.wav"), "the recordings have 0 stretches of 1 to 15 s; give longer ones, or more"),
        (("--audio", "one.wav", "--adapter-file", "no/a.npz"), "no/a.npz: the folder for this file does not exist"),
        (("--audio", "one.wav", "--lora-encoder-layers", 0), "--lora-encoder-layers .* nothing to adapt"),
    ],
)
def test_one_clear_line(arguments, message, model_folder, run_main):
    soundfile.write("short.wav", mx.zeros(8000), 16000)
    outcome = run_main(short_context, "--model", model_folder, *arguments)
    assert outcome.code != 0 and re.search(message, outcome.err), outcome.err
    assert outcome.err.count("\n") <= 2
