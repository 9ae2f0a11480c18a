"""The port with the seeded weights of the reference numbers, and those numbers."""

import functools
import json
from pathlib import Path

import mlx.core as mx
import numpy as np
from seeded import VARIANTS, seeded_parameters, small_dims, three_windows

from mlx_whisper_lora.whisper.mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.model import ModelDimensions, Whisper

REFERENCE = Path(__file__).parent / "reference"  # made by tools/make_reference_whisper.py


def reference(name: str):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


@functools.cache
def reference_arrays() -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "arrays.npz"))


@functools.cache
def seeded_model(variant: str) -> Whisper:
    settings = VARIANTS[variant]
    dims = small_dims(settings["n_vocab"], settings["n_mels"])
    model = Whisper(ModelDimensions(**dims))
    weights = []
    for name, array in seeded_parameters(dims, settings["seed"]).items():
        if ".conv" in name and name.endswith("weight"):
            array = array.swapaxes(1, 2)  # PyTorch's (out, in, kernel) to MLX's (out, kernel, in)
        weights.append((name.replace("mlp.0", "mlp1").replace("mlp.2", "mlp2"), mx.array(array)))
    model.load_weights(weights)
    return model


@functools.cache
def window_mels(n_mels: int) -> mx.array:
    """Log-mels (3, 3000, n_mels)."""
    return mx.stack([log_mel_spectrogram(sound, n_mels) for sound in three_windows()])


@functools.cache
def window_features(variant: str) -> mx.array:
    """The same three windows encoded: (3, 1500, 64)."""
    model = seeded_model(variant)
    features = model.encoder(window_mels(model.dims.n_mels))
    mx.eval(features)
    return features
