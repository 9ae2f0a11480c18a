"""Small models with seeded weights."""

import functools
from dataclasses import replace

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.layout import from_openai, swap_kernel
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from tools.references.seeded import VARIANTS, seeded_parameters, small_dims, three_windows

# 64 wide, 2 + 2 layers; transcripts end after 32 tokens, which keeps decoding short.
SMALL = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=64,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=51865,
    n_text_ctx=64,
    n_text_state=64,
    n_text_head=2,
    n_text_layer=2,
)


def small_model(seed: int = 0, **changes: int) -> Whisper:
    """Return a model with seeded weights, whose transcripts depend on the audio; `changes` replace its dimensions."""
    model = _model_with_seeded_weights(replace(SMALL, **changes), seed)
    model.eval()
    return model


@functools.cache
def seeded_model(variant: str) -> Whisper:
    """Return the model that the reference numbers were made with; `variant` is a key of VARIANTS."""
    settings = VARIANTS[variant]
    dims = ModelDimensions(**small_dims(settings["n_vocab"], settings["n_mels"]))
    return _model_with_seeded_weights(dims, settings["seed"])


@functools.cache
def window_mels(n_mels: int) -> mx.array:
    """Return the log-mels (3, 3000, n_mels) of the three windows of the reference numbers."""
    return mx.stack([log_mel_spectrogram(audio, n_mels) for audio in three_windows()])


@functools.cache
def window_features(variant: str) -> mx.array:
    """Return the features (3, 1500, 64) of the same three windows."""
    model = seeded_model(variant)
    features = model.encoder(window_mels(model.dims.n_mels))
    mx.eval(features)
    return features


def _model_with_seeded_weights(dims: ModelDimensions, seed: int) -> Whisper:
    model = Whisper(dims)
    model.load_weights([(name, mx.array(array)) for name, array in _seeded_weights(dims, seed).items()])
    return model


@functools.cache
def _seeded_weights(dims: ModelDimensions, seed: int) -> dict[str, np.ndarray]:
    """Return the weights of tools/references/seeded.py, by our names and in MLX's layout of convolutions."""
    return {
        from_openai(name): swap_kernel(name, array) for name, array in seeded_parameters(dims.to_dict(), seed).items()
    }
