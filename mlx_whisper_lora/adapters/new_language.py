"""A language that Whisper lacks, as a token of its own.

The token is the last one of the vocabulary, so that the others keep their ids. Its row of the token embedding, which is
the output layer too, starts as that of a near language, and is trained beside the adapter. The other rows are frozen.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.whisper.model.quantization import plain_layer
from mlx_whisper_lora.whisper.model.whisper import Whisper, token_logits
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.languages import LANGUAGES, is_code, language_name, nearest_language


@dataclass(frozen=True)
class NewLanguage:
    """A language that a model gets, and the one whose token its own starts from."""

    code: str  # such as "dv"
    near: str  # a code of Whisper's, such as "si"

    def describe(self) -> str:
        """Describe the token in a sentence."""
        names = language_name(self.code), language_name(self.near)
        return f"{names[0]} has the new token <|{self.code}|>, which starts as that of {names[1]} ({self.near})"


def choose_new_language(model: Whisper, code: str, near: str | None) -> NewLanguage:
    """Choose the language to start from, for a model that has none of its own yet.

    Args:
        model: the base.
        code: the code of the new language.
        near: the language to start from. By default the nearest relative of the new one.

    Raises:
        OptionError: the model knows the language or cannot get one, or no language to start from is known.
        ValueError: the model does not know the language to start from.
    """
    vocabulary, name = model.vocabulary, language_name(code)
    if not vocabulary.multilingual:
        raise OptionError("`new_language` requires a multilingual model, and this one is English-only")
    if code in vocabulary.languages:
        raise OptionError(f"`new_language`: this model knows {name}: give `language` {code} alone")
    if vocabulary.new_language:
        raise OptionError(f"`new_language`: this model has a new language already, {vocabulary.new_language!r}")
    near = model.language_code(near) if near else nearest_language(code)
    if near is None:
        raise OptionError(f"`new_language` {code}: no relative is known; give a near one as `language`, such as hi")
    return NewLanguage(code, near)


def name_language(model: Whisper, code: str) -> None:
    """Give a model the name of a new language, so that its tokenizer has the token.

    Raises:
        ValueError: it is one of the model's own languages.
    """
    if model.vocabulary.new_language != code:
        model.vocabulary = model.vocabulary.with_language(code)


@contextlib.contextmanager
def borrowed_token(model: Whisper, new_language: NewLanguage | None) -> Iterator[None]:
    """Let a plain model take the token of a new language, if there is one, for that of the near one."""
    if new_language is None:
        yield
        return
    name_language(model, new_language.code)
    plain = model.decoder.token_embedding
    model.decoder.token_embedding = NewLanguageEmbedding.from_base(model, new_language)
    try:
        yield
    finally:
        model.decoder.token_embedding = plain


class NewLanguageEmbedding(nn.Module):
    """A frozen embedding of tokens, with a trainable row behind it.

    Attributes:
        embedding: the frozen embedding, plain or quantized.
        row: the row of the last token, shape (D,).
        size: tokens of the frozen embedding.
        code: the code of the new language.
    """

    @staticmethod
    def from_base(model: Whisper, new_language: NewLanguage) -> "NewLanguageEmbedding":
        """Wrap the embedding of a plain model. The new row is that of the near language."""
        embedding = model.decoder.token_embedding
        token = model.tokenizer(new_language.near).language_token
        row = embedding(mx.array([token]))[0].astype(mx.float32)
        return NewLanguageEmbedding(embedding, row, model.dims.n_vocab, new_language.code)

    def __init__(self, embedding: nn.Embedding | nn.QuantizedEmbedding, row: mx.array, size: int, code: str):
        super().__init__()
        self.embedding = embedding
        self.embedding.freeze()
        self.row = row
        self.size, self.code = size, code

    def __call__(self, tokens: mx.array) -> mx.array:
        rows = self.embedding(mx.minimum(tokens, self.size - 1))
        return mx.where((tokens == self.size)[..., None], self.row.astype(rows.dtype), rows)

    def as_linear(self, hidden: mx.array) -> mx.array:
        """Return the logits (..., V + 1) of hidden states (..., D)."""
        last = hidden @ self.row.astype(hidden.dtype)
        return mx.concatenate([token_logits(self.embedding, hidden), last[..., None]], axis=-1)

    def fuse(self) -> nn.Module:
        """Return a plain embedding with the row at its end."""
        fused = plain_layer(self.embedding)
        fused.weight = mx.concatenate([fused.weight, self.row.astype(fused.weight.dtype)[None]])
        return fused


def read_new_language(stored: Any) -> NewLanguage:
    """Read the new language in the configuration of an adapter file.

    Raises:
        ValueError: it is something else.
    """
    match stored:
        case {"code": str(code), "near": str(near)} if is_code(code) and near in LANGUAGES and code != near:
            return NewLanguage(code, near)
    raise ValueError(f"its new_language is {stored!r}")
