"""The demo model's dimensions, and the compact vocabulary that it is trained with.

The model has Whisper's tokenizer, but its world has about 700 kinds of text token. A compact vocabulary holds the
tokens that occur, the special ones, and one that stands for all others. At the end of training each of the others gets
the embedding of that one. Equal rows get equal gradients and stay equal, and so they cost almost nothing in a
compressed file.
"""

from collections.abc import Sequence
from dataclasses import replace

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper, sinusoids
from mlx_whisper_lora.whisper.text.tokenizer import N_TIMESTAMPS, Tokenizer
from tools.demo_model.language import LANGUAGES

DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=128,
    n_audio_head=2,
    n_audio_layer=4,
    n_vocab=51865,
    n_text_ctx=448,
    n_text_state=128,
    n_text_head=4,
    n_text_layer=4,
)


class Vocabulary:
    """The compact vocabulary."""

    tokens: np.ndarray  # the real ids, in order; the compact id len(tokens) stands for all others
    compact: np.ndarray  # real id -> compact id

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]):
        used = {token for text in texts for token in tokenizer.encode(" " + text)}
        used |= {tokenizer.to_language_token(language) for language in LANGUAGES}
        used |= {tokenizer.eot, tokenizer.sot, tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps}
        used |= {tokenizer.transcribe}
        used |= set(range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + N_TIMESTAMPS))
        self.tokens = np.array(sorted(used))
        self.compact = np.full(DIMENSIONS.n_vocab, len(self.tokens))
        self.compact[self.tokens] = np.arange(len(self.tokens))

    def new_model(self, seed: int) -> Whisper:
        """Return a random model with the compact vocabulary."""
        mx.random.seed(seed)
        model = Whisper(replace(DIMENSIONS, n_vocab=len(self.tokens) + 1))
        # He et al. (2015): audio must not drown in the position embedding, whose sines have an amplitude of 1.
        for convolution in (model.encoder.conv1, model.encoder.conv2):
            fan_in = convolution.weight[0].size
            convolution.weight = mx.random.normal(convolution.weight.shape) * (2 / fan_in) ** 0.5
        # Neighboring timestamps start alike; 1/4 gives rows of length 2, as training gives to the others.
        model.decoder.token_embedding.weight[-1 - N_TIMESTAMPS : -1] = sinusoids(N_TIMESTAMPS, 128) / 4
        _unfold_convolutions(model)
        return model

    def expand(self, model: Whisper) -> Whisper:
        """Return a copy of a model that has the entire vocabulary."""
        expanded = Whisper(DIMENSIONS)
        weights = dict(tree_flatten(model.parameters()))
        name = "decoder.token_embedding.weight"
        weights[name] = weights[name][mx.array(self.compact)]
        expanded.load_weights([(name, weights[name]) for name, _ in tree_flatten(expanded.parameters())])
        _unfold_convolutions(expanded)
        return expanded


class _UnfoldedConv1d(nn.Conv1d):
    """A convolution as one matrix product: on a CPU the gradient of MLX's strided one takes 30 times as long."""

    def __call__(self, x: mx.array) -> mx.array:
        kernel = self.weight.shape[1]
        x = mx.pad(x, [(0, 0), (self.padding, self.padding), (0, 0)])
        length = x.shape[1] - kernel + 1
        taps = mx.concatenate([x[:, k : k + length : self.stride] for k in range(kernel)], axis=-1)
        return taps @ self.weight.reshape(len(self.weight), -1).T + self.bias


def _unfold_convolutions(model: Whisper) -> None:
    model.encoder.conv1.__class__ = _UnfoldedConv1d
    model.encoder.conv2.__class__ = _UnfoldedConv1d
