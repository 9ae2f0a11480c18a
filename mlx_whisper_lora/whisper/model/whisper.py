"""Whisper's encoder-decoder Transformer on MLX.

The model is described by Radford et al. (2022), section 2.2. Parameters have the names of openai-whisper, so that
checkpoints and adapters carry over. Shapes: B clips, T text tokens, F mel frames, P = F / 2 encoder positions, D model
width.
"""

import math
import warnings
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.devices import note_device
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.ops import attention, decode_row, gelu, halve, prepare_cpu, project
from mlx_whisper_lora.whisper.model.silence import SILENT_LOG_MEL, SILENT_POSITIONS, SilenceCache
from mlx_whisper_lora.whisper.text.languages import (
    LANGUAGES,
    lacking_language,
    language_code,
    language_name,
    nearest_language,
)
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer, Vocabulary, get_tokenizer, vocabulary_of_size


@dataclass(frozen=True)
class ModelDimensions:
    """The numbers that fix a Whisper model's shape, with the field names of openai-whisper's checkpoints."""

    n_mels: int  # mel bands
    n_audio_ctx: int  # most encoder positions
    n_audio_state: int  # encoder width
    n_audio_head: int  # attention heads of an encoder block
    n_audio_layer: int  # encoder blocks
    n_vocab: int  # tokens
    n_text_ctx: int  # most text tokens
    n_text_state: int  # decoder width
    n_text_head: int  # attention heads of a decoder block
    n_text_layer: int  # decoder blocks

    def to_dict(self) -> dict[str, int]:
        """Return the numbers by their names."""
        return asdict(self)


def _dimensions(
    width: int, heads: int, encoder_layers: int, decoder_layers: int, n_vocab: int = 51865, n_mels: int = 80
) -> ModelDimensions:
    return ModelDimensions(n_mels, 1500, width, heads, encoder_layers, n_vocab, 448, width, heads, decoder_layers)


# The published sizes. The English-only ones have a vocabulary of 51864.
DIMENSIONS = {
    "tiny": _dimensions(384, 6, 4, 4),
    "base": _dimensions(512, 8, 6, 6),
    "small": _dimensions(768, 12, 12, 12),
    "medium": _dimensions(1024, 16, 24, 24),
    "large-v2": _dimensions(1280, 20, 32, 32),
    "large-v3": _dimensions(1280, 20, 32, 32, n_vocab=51866, n_mels=128),
    "large-v3-turbo": _dimensions(1280, 20, 32, 4, n_vocab=51866, n_mels=128),
}

# The largest relative errors of rounding, the coarsest first.
_ROUNDING = {mx.bfloat16: 2**-8, mx.float16: 2**-11, mx.float32: 0.0}
_SINUSOID_TOLERANCE = 2e-4  # PyTorch computes sinusoids in float32, and is off by half as much

# Cross-attention heads that follow the words, as pairs of decoder layer and head.
AlignmentHeads = tuple[tuple[int, int], ...]
_CACHE_STEP = 64  # tokens that room is made for at a time
# One layer's keys and values by head, each (B, heads, T, D / heads).
_KeyValue = tuple[mx.array, mx.array]
# The encoder's output (B, P, D), with the silence after short windows; or that of windows and of the silence after each
# of them (1, S, D), whose keys and values are then computed once for the batch.
Features: TypeAlias = mx.array | tuple[mx.array, mx.array]


def add_silence(windows: mx.array, silence: mx.array) -> mx.array:
    """Return features or keys of windows (B, ..., P, D), each with those of silence (1, ..., S, D) after it."""
    return mx.concatenate([windows, mx.broadcast_to(silence, (len(windows), *silence.shape[1:]))], axis=-2)


class LayerCache:
    """The keys and values that a decoder block keeps between steps.

    Args:
        padding: for each sequence, how many tokens at its start are padding, shape (N,). None stands for zeros.
    """

    def __init__(self, padding: mx.array | None = None) -> None:
        self.padding = padding
        self.length = 0  # tokens, padding included
        self.audio: _KeyValue | None = None  # of the audio features
        self._text: list[mx.array] = []  # keys and values of the tokens, with room for more

    def extend(self, new: _KeyValue) -> _KeyValue:
        """Add the keys and values of new tokens. Return those of all tokens."""
        rows, heads, count, width = new[0].shape
        first = self.length
        for array, addition in zip(self.make_room(count, (rows, heads, width), new[0].dtype), new, strict=True):
            array[:, :, first : self.length] = addition
        keys, values = (array[:, :, : self.length] for array in self._text)
        return keys, values

    def make_room(self, count: int, shape: tuple[int, int, int], dtype: mx.Dtype) -> list[mx.array]:
        """Count new tokens. Return the keys and values, of shape (N, heads, room, D / heads), for theirs to be written.

        Args:
            count: the number of tokens.
            shape: N, heads and D / heads.
            dtype: of keys and values.
        """
        self.length += count
        rows, heads, width = shape
        room = self._text[0].shape[2] if self._text else 0
        if self.length > room:
            more = -(-(self.length - room) // _CACHE_STEP) * _CACHE_STEP
            empty = [mx.zeros((rows, heads, more, width), dtype) for _ in range(2)]
            old = self._text or [array[:, :, :0] for array in empty]
            self._text = [mx.concatenate(pair, axis=2) for pair in zip(old, empty, strict=True)]
        return self._text

    def reorder(self, rows: mx.array) -> None:
        """Replace the sequences by the given rows, in that order. A row may occur several times.

        The keys and values of the audio stay one a window: the sequences of a window lie side by side and share them.
        """
        self._text = [array[rows] for array in self._text]
        self.padding = None if self.padding is None else self.padding[rows]

    def keep(self, windows: mx.array, rows: mx.array) -> None:
        """Remove all but the given windows, and all sequences but the given rows, which are theirs."""
        self.reorder(rows)
        if self.audio is not None:
            self.audio = self.audio[0][windows], self.audio[1][windows]


def sinusoids(length: int, channels: int, max_timescale: float = 10000) -> mx.array:
    """Return a sinusoidal position embedding.

    Args:
        length: positions.
        channels: numbers per position, even.
        max_timescale: the longest wavelength, divided by 2 pi.

    Returns:
        An array of shape (length, channels), with sines in the first half of the channels and cosines in the second.
    """
    step = math.log(max_timescale) / (channels // 2 - 1)
    timescales = np.exp(-step * np.arange(channels // 2))
    phases = np.arange(length)[:, None] * timescales[None, :]
    return mx.array(np.concatenate([np.sin(phases), np.cos(phases)], axis=1).astype(np.float32))


def are_sinusoids(positions: mx.array) -> bool:
    """Return whether stored encoder positions are sinusoids, and so were not trained.

    Args:
        positions: shape (length, channels). They may have been rounded to a shorter type than their own.
    """
    expected, stored = sinusoids(*positions.shape), positions.astype(mx.float32)
    distances = mx.abs(stored - expected)
    for dtype, rounding in _ROUNDING.items():
        if mx.array_equal(stored.astype(dtype).astype(mx.float32), stored):
            return mx.all(distances <= _SINUSOID_TOLERANCE + rounding * mx.abs(expected)).item()
    return False  # NaN


class MultiHeadAttention(nn.Module):
    """Attention of several heads, with its four projections.

    Args:
        n_state: model width D.
        n_head: heads, which share the width.
    """

    def __init__(self, n_state: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.query = nn.Linear(n_state, n_state)
        self.key = nn.Linear(n_state, n_state, bias=False)
        self.value = nn.Linear(n_state, n_state)
        self.out = nn.Linear(n_state, n_state)

    def __call__(
        self, x: mx.array, source: _KeyValue, mask: mx.array | str | None = None, need_weights: bool = False
    ) -> tuple[mx.array, mx.array | None]:
        """Attend from `x` to a source.

        Args:
            x: hidden states, shape (B, T, D).
            source: keys and values, each of shape (B, heads, S, D / heads), or for B / n windows if each serves n rows
                of `x`.
            mask: "causal", or an array that is added to the scores.
            need_weights: whether to return the scores.

        Returns:
            The output (B, T, D), and the scores before softmax (B, heads, T, S) or None.
        """
        # Rows that share the audio of a window become more queries to the same keys.
        query = self.query(x).reshape(len(source[0]), -1, x.shape[-1])
        query, (key, value) = self._split(query), source
        scale = query.shape[-1] ** -0.5
        scores = (query * scale) @ key.swapaxes(-1, -2) if need_weights else None
        heads = attention(query, key, value, scale, mask)
        return self.out(heads.swapaxes(1, 2).reshape(x.shape)), scores

    def key_value(self, x: mx.array) -> _KeyValue:
        """Return the keys and values of `x` (B, S, D), each (B, heads, S, D / heads)."""
        return self._split(self.key(x)), self._split(self.value(x))

    def _split(self, x: mx.array) -> mx.array:
        """Split (B, T, D) into heads (B, heads, T, D / heads)."""
        return x.reshape(*x.shape[:2], self.n_head, -1).swapaxes(1, 2)


class ResidualAttentionBlock(nn.Module):
    """A Transformer block: self-attention, cross-attention in the decoder, and an MLP, each with a residual.

    Args:
        n_state: model width D.
        n_head: heads of each attention.
        cross_attention: whether the block attends to audio features, as the decoder's do.
    """

    def __init__(self, n_state: int, n_head: int, cross_attention: bool = False):
        super().__init__()
        self.attn = MultiHeadAttention(n_state, n_head)
        self.attn_ln = nn.LayerNorm(n_state)
        if cross_attention:
            self.cross_attn = MultiHeadAttention(n_state, n_head)
            self.cross_attn_ln = nn.LayerNorm(n_state)
        self.mlp1 = nn.Linear(n_state, n_state * 4)
        self.mlp2 = nn.Linear(n_state * 4, n_state)
        self.mlp_ln = nn.LayerNorm(n_state)

    def __call__(
        self,
        x: mx.array,
        audio_features: Features | None = None,
        mask: mx.array | str | None = None,
        cache: LayerCache | None = None,
        need_weights: bool = False,
    ) -> tuple[mx.array, mx.array | None]:
        """Compute the block.

        Args:
            x: hidden states, shape (B, T, D).
            audio_features: the encoder's output for cross-attention, see `Features`.
            mask: the mask of self-attention.
            cache: keys and values of earlier steps. The call adds its own.
            need_weights: whether to return the scores of cross-attention.

        Returns:
            The output (B, T, D), and the cross-attention scores before softmax (B, heads, T, P) or None.
        """
        if cache is not None and not need_weights and (row := decode_row(self, x, cache)) is not None:
            return row, None
        normed = self.attn_ln(x)
        text = self.attn.key_value(normed)
        if cache is not None:
            text = cache.extend(text)
        x = x + self.attn(normed, text, mask)[0]

        scores = None
        if audio_features is not None:
            audio = cache.audio if cache is not None and cache.audio is not None else None
            if audio is None:
                audio = self._audio_key_value(audio_features)
                if cache is not None:
                    # Every step reads them. Laid out by head, they need not be copied for it.
                    cache.audio = audio = tuple(mx.contiguous(array) for array in audio)
            attended, scores = self.cross_attn(self.cross_attn_ln(x), audio, need_weights=need_weights)
            x = x + attended

        return x + self.mlp2(gelu(self.mlp1(self.mlp_ln(x)))), scores

    def _audio_key_value(self, features: Features) -> _KeyValue:
        if isinstance(features, mx.array):
            return self.cross_attn.key_value(features)
        window, silence = (self.cross_attn.key_value(each) for each in features)
        return add_silence(window[0], silence[0]), add_silence(window[1], silence[1])


class AudioEncoder(nn.Module):
    """Two convolutions over the frames, then Transformer blocks.

    Positions are sinusoids, which are not a parameter. If a checkpoint trained them, they are: `positional_embedding`.

    Args:
        n_mels: mel bands of the input.
        n_ctx: most positions P of the output.
        n_state: model width D.
        n_head: attention heads of a block.
        n_layer: blocks.
    """

    def __init__(self, n_mels: int, n_ctx: int, n_state: int, n_head: int, n_layer: int):
        super().__init__()
        self.conv1 = nn.Conv1d(n_mels, n_state, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(n_state, n_state, kernel_size=3, stride=2, padding=1)
        self._positional_embedding = sinusoids(n_ctx, n_state)
        self.blocks = [ResidualAttentionBlock(n_state, n_head) for _ in range(n_layer)]
        self.ln_post = nn.LayerNorm(n_state)

    @property
    def positions(self) -> mx.array:
        """Return the embedding of all positions, shape (n_ctx, D)."""
        return self.get("positional_embedding", self._positional_embedding)

    def __call__(self, mel: mx.array, first: int = 0) -> mx.array:
        """Encode log-mels (B, F, n_mels), with F even, into features (B, F / 2, D) of the positions from `first` on."""
        return self.upper(self.lower(mel, first=first))

    def lower(self, mel: mx.array, n_blocks: int = 0, first: int = 0) -> mx.array:
        """Compute the convolutions and the first `n_blocks` blocks: log-mels (B, F, n_mels) to states (B, F / 2, D)."""
        x = gelu(self.conv1(mel))
        x = gelu(halve(self.conv2, x))
        x = x + self.positions[first : first + x.shape[1]].astype(x.dtype)
        for block in self.blocks[:n_blocks]:
            x, _ = block(x)
        return x

    def upper(self, x: mx.array, n_blocks: int = 0) -> mx.array:
        """Compute the blocks after the first `n_blocks`: states (B, P, D) to features (B, P, D)."""
        for block in self.blocks[n_blocks:]:
            x, _ = block(x)
        return self.ln_post(x)


def text_mask(
    past: int, length: int, padding: mx.array | None, dtype: mx.Dtype, prompt: int = 0
) -> mx.array | str | None:
    """Return the mask of a decoder's self-attention.

    Args:
        past: keys before those of the queries.
        length: queries T, which have keys too.
        padding: for each sequence, how many tokens at its start are padding, shape (B,). None stands for zeros.
        dtype: of the hidden states.
        prompt: keys before the padding that all queries attend to.

    Returns:
        "causal", None for a single query, or zeros, and -inf for keys that are padding or later than the query, shape
        (B, 1, T, S). A query that is padding itself attends to its own key, as it has to attend to something.
    """
    if padding is None:
        return "causal" if length > 1 else None
    queries, keys = mx.arange(past, past + length)[:, None], mx.arange(past + length)
    is_padding = (keys >= prompt) & (keys < prompt + padding[:, None, None])
    return mx.where((keys > queries) | (is_padding & (keys != queries)), -mx.inf, 0)[:, None].astype(dtype)


def token_logits(embedding: nn.Module, hidden: mx.array) -> mx.array:
    """Return the products of hidden states (..., D) with the rows of an embedding of tokens, plain or not."""
    if type(embedding) is nn.Embedding:
        return project(embedding.weight, hidden)
    return embedding.as_linear(hidden)


class TextDecoder(nn.Module):
    """A Transformer over text tokens that attends to the encoder's output.

    Args:
        n_vocab: tokens in the vocabulary.
        n_ctx: most tokens in a text.
        n_state: model width D.
        n_head: attention heads of a block.
        n_layer: blocks.
    """

    def __init__(self, n_vocab: int, n_ctx: int, n_state: int, n_head: int, n_layer: int):
        super().__init__()
        self.token_embedding = nn.Embedding(n_vocab, n_state)
        self.positional_embedding = mx.random.normal((n_ctx, n_state)) * 0.01
        self.blocks = [ResidualAttentionBlock(n_state, n_head, cross_attention=True) for _ in range(n_layer)]
        self.ln = nn.LayerNorm(n_state)

    def hidden(
        self,
        tokens: mx.array,
        audio_features: Features,
        cache: list[LayerCache] | None = None,
        need_weights: bool = False,
    ) -> tuple[mx.array, list[mx.array | None]]:
        """Compute the hidden states before the output layer.

        Args:
            tokens: token ids, shape (B, T).
            audio_features: the encoder's output, see `Features`.
            cache: the keys and values of the tokens before these, one entry a layer. The call adds its own.
            need_weights: whether to return the scores of cross-attention.

        Returns:
            The hidden states (B, T, D), and for each layer the cross-attention scores before softmax (B, heads, T, P)
            or None.
        """
        past, padding = (cache[0].length, cache[0].padding) if cache else (0, None)
        x = self.embed(tokens, past, padding)
        mask = text_mask(past, tokens.shape[1], padding, x.dtype)
        return self.upper(x, audio_features, mask, cache, need_weights)

    def embed(self, tokens: mx.array, past: int, padding: mx.array | None) -> mx.array:
        """Return the states (B, T, D) of tokens (B, T) before the blocks.

        Args:
            tokens: token ids.
            past: tokens before these.
            padding: for each sequence, how many tokens at its start are padding, shape (B,). None stands for zeros.
        """
        end = past + tokens.shape[1]
        if padding is None:
            positions = self.positional_embedding[past:end]
        else:
            positions = self.positional_embedding[mx.maximum(mx.arange(past, end) - padding[:, None], 0)]
        return self.token_embedding(tokens) + positions

    def upper(
        self,
        x: mx.array,
        audio_features: Features,
        mask: mx.array | str | None,
        cache: list[LayerCache] | None,
        need_weights: bool,
    ) -> tuple[mx.array, list[mx.array | None]]:
        """Compute the blocks: states (B, T, D) to what `hidden` returns."""
        scores = []
        for i, block in enumerate(self.blocks):
            x, block_scores = block(x, audio_features, mask, cache[i] if cache else None, need_weights)
            scores.append(block_scores)
        return self.ln(x), scores

    def logits(self, hidden: mx.array) -> mx.array:
        """Return next-token logits (..., n_vocab) of hidden states (..., D). The output layer is the embedding."""
        return token_logits(self.token_embedding, hidden)

    def __call__(self, tokens: mx.array, audio_features: mx.array, cache: list[LayerCache] | None = None) -> mx.array:
        """Return next-token logits (B, T, n_vocab) for `tokens` (B, T), given features (B, P, D)."""
        return self.logits(self.hidden(tokens, audio_features, cache)[0])


class Whisper(nn.Module):
    """An audio encoder and a text decoder.

    Either may be replaced by a module that wraps it: other code calls `encoder`, `decoder`, `decoder.hidden` and
    `decoder.logits`, and reads the size and type of the model from the fields below. The encoder is called with
    log-mels and, for the silence after a short window, with the first position.

    Args:
        dims: the model's dimensions.
    """

    def __init__(self, dims: ModelDimensions):
        super().__init__()
        prepare_cpu()
        self.dims = dims
        self.dtype = mx.float32  # of the computation, and of weights that are not quantized
        self.audio_context: float = CHUNK_LENGTH  # seconds that a window is padded to, or AUTO
        self.default_language: str | None = None  # a code, for recordings whose language is not given; None detects it
        self._silence = SilenceCache()
        self._vocabulary = vocabulary_of_size(dims.n_vocab)
        self.alignment_heads: AlignmentHeads | None = None  # None if they are not known
        # Tokens that are suppressed anywhere and at the start, if the files of the model name them.
        self.suppress_tokens: tuple[int, ...] | None = None
        self.begin_suppress_tokens: tuple[int, ...] | None = None
        self.encoder = AudioEncoder(
            dims.n_mels, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer
        )
        self.decoder = TextDecoder(
            dims.n_vocab, dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer
        )

    def __call__(self, mel: mx.array, tokens: mx.array) -> mx.array:
        """Return next-token logits (B, T, n_vocab) for log-mels (B, F, n_mels) and `tokens` (B, T)."""
        return self.decoder(tokens, self.encode(mel))

    def encode(self, mel: mx.array) -> mx.array:
        """Encode log-mels into features.

        Args:
            mel: log-mel spectrograms, shape (B, F, n_mels), of up to 30 s.

        Returns:
            The encoder's output, shape (B, P, D). In less than 30 s, silence follows that of the log-mels.

        Raises:
            ValueError: the log-mels have another shape.
        """
        longest = self.dims.n_audio_ctx * FRAMES_PER_POSITION
        if mel.ndim != 3 or mel.shape[2] != self.dims.n_mels or mel.shape[1] > longest:
            mels_first = mel.ndim == 3 and mel.shape[1] == self.dims.n_mels
            raise ValueError(
                f"this model takes windows of up to {longest} frames by {self.dims.n_mels} mel bands, or their "
                f"features ({self.dims.n_audio_ctx} by {self.dims.n_audio_state}); "
                f"got {' by '.join(map(str, mel.shape[1:]))}{': transpose the spectrogram' if mels_first else ''}"
            )
        features = self.encoder(mel.astype(self.dtype))
        first = features.shape[1]
        if first >= self.dims.n_audio_ctx:
            return features
        return add_silence(features, self._silence.get(self.encoder, first, lambda: self.encode_silence(first)))

    def encode_silence(self, first: int) -> mx.array:
        """Encode the silence after a window, up to 10 s within the 30 s.

        Args:
            first: the position after the window.

        Returns:
            Features of shape (1, S, D).
        """
        count = min(SILENT_POSITIONS, self.dims.n_audio_ctx - first)
        if count <= 0:
            return mx.zeros((1, 0, self.dims.n_audio_state), self.dtype)
        mel = mx.full((1, count * FRAMES_PER_POSITION, self.dims.n_mels), SILENT_LOG_MEL, self.dtype)
        return self.encoder(mel, first)

    def tokenizer(self, language: str | None = None, task: str = "transcribe") -> Tokenizer:
        """Return the tokenizer of this model's vocabulary.

        Args:
            language: as for `language_code`.
            task: "transcribe" or "translate".

        Raises:
            ValueError: Whisper or this model lacks the language or the task.
        """
        tokenizer = get_tokenizer(
            self.is_multilingual,
            num_languages=self.num_languages,
            language=self.language_code(language, task),
            task=task,
            new_language=self.vocabulary.new_language,
        )
        if (self.suppress_tokens, self.begin_suppress_tokens) == (None, None):
            return tokenizer
        return replace(tokenizer, suppressed=self.suppress_tokens, suppressed_first=self.begin_suppress_tokens)

    def language_code(self, language: str | None, task: str = "transcribe") -> str:
        """Return the code of a language in this model's vocabulary.

        The nearest relative stands for a language that Whisper lacks, and a warning says so.

        Args:
            language: a code or a name; None stands for English.
            task: the task, to be named in errors.

        Raises:
            ValueError: Whisper or this model lacks the language, and no relative is known.
        """
        code = language_code(language) if language is not None else "en"
        languages = self.vocabulary.languages
        if not self.is_multilingual and (code != "en" or task != "transcribe"):
            raise ValueError(f"this model is English-only: it cannot {task} language {code!r}")
        if code in languages:
            return code
        if code in LANGUAGES:
            raise ValueError(f"this model does not know language {code!r}; it knows {len(languages)} others")
        near = nearest_language(code)
        if near is None:
            raise ValueError(lacking_language(code))
        warnings.warn(  # once, whichever code asks
            f"Whisper does not know {language_name(code)} ({code}), so it is taken for {language_name(near)} ({near}), "
            "its nearest relative",
            stacklevel=1,
        )
        return near

    def set_dtype(self, dtype: mx.Dtype, *predicate) -> None:
        """Cast the weights, and with them the computation, to `dtype`."""
        super().set_dtype(dtype, *predicate)
        self.dtype = dtype

    def to(self, device: object) -> "Whisper":
        """Return the model itself, as programs for PyTorch expect. MLX chooses the device."""
        note_device(device)
        return self

    @property
    def device(self) -> mx.Device:
        """The device that MLX computes on."""
        return mx.default_device()

    def new_cache(self, padding: mx.array | None = None) -> list[LayerCache]:
        """Return an empty cache for the decoder, one entry a layer.

        Args:
            padding: for each sequence, how many tokens at its start are padding, shape (N,). None stands for zeros.
        """
        return [LayerCache(padding) for _ in range(self.dims.n_text_layer)]

    @property
    def is_multilingual(self) -> bool:
        """Whether the vocabulary has languages and tasks."""
        return self.vocabulary.multilingual

    @property
    def num_languages(self) -> int:
        """The number of Whisper's languages in the vocabulary, without one that was added."""
        return self.vocabulary.num_languages

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary. Raises CheckpointError if the meaning of the tokens is not known."""
        if self._vocabulary is None:
            raise CheckpointError(
                f"a vocabulary of {self.dims.n_vocab} tokens is not one of Whisper's, so the meaning of the tokens is "
                "unknown"
            )
        return self._vocabulary

    @vocabulary.setter
    def vocabulary(self, vocabulary: Vocabulary | None) -> None:
        self._vocabulary = vocabulary

    @property
    def knows_tokens(self) -> bool:
        """Whether the meaning of the tokens is known."""
        return self._vocabulary is not None
