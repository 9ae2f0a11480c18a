"""Write Whisper's vocabularies as the files of transformers' tokenizers.

Both describe one byte-pair encoding. tiktoken ranks the tokens by when they were merged. transformers lists the merges,
and writes each byte as a printable character (Radford et al. 2019, GPT-2).
"""

import functools
import itertools
import json
from typing import Any, NamedTuple

import tiktoken

from mlx_whisper_lora.whisper.assets import ASSETS
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

# Bytes that stand for themselves. The others are written as the characters from 256 on.
_PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))
_END_OF_TEXT = "<|endoftext|>"
_KEEP_WHITESPACE = {"single_word": False, "lstrip": False, "rstrip": False}  # around special tokens
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


class _ByteLevelEncoding(NamedTuple):
    """A byte-pair encoding in printable characters."""

    vocabulary: dict[str, int]  # text tokens and their ids
    merges: list[tuple[str, str]]  # the pair that was merged into each token, earliest first


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the files of a transformers tokenizer.

    whisper.cpp's converter reads vocab.json and added_tokens.json, and faster-whisper reads tokenizer.json.

    Returns:
        The contents by file name: text for merges.txt, and the values to be written as JSON for the others.
    """
    encoding = _byte_level(tokenizer.encoding)
    vocabulary = {**encoding.vocabulary, _END_OF_TEXT: tokenizer.eot}
    merges = [f"{left} {right}" for left, right in encoding.merges]
    special = _special_tokens(tokenizer)
    timestamps = range(tokenizer.timestamp_begin, tokenizer.timestamp_end)
    added = {token: _added_token(name, token in timestamps) for name, token in special.items()}
    return {
        "vocab.json": vocabulary,
        "merges.txt": "#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges),
        "normalizer.json": json.loads((ASSETS / "english_spellings.json").read_text(encoding="utf-8")),
        "added_tokens.json": {name: token for name, token in special.items() if name != _END_OF_TEXT},
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": token, **settings} for token, settings in added.items()],
            "normalizer": None,
            "pre_tokenizer": _BYTE_LEVEL,
            "post_processor": _post_processor(tokenizer),
            "decoder": _BYTE_LEVEL,
            "model": {**_BPE, "vocab": vocabulary, "merges": merges},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "WhisperTokenizer",
            "processor_class": "WhisperProcessor",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 1024,
            **{f"{role}_token": _END_OF_TEXT for role in ("bos", "eos", "pad", "unk")},
            "additional_special_tokens": _listed_tokens(tokenizer, special),
            "added_tokens_decoder": {str(token): settings for token, settings in added.items()},
        },
    }


def _post_processor(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the template of a text with special tokens, as WhisperTokenizer sets it up if no language is given."""
    names = {tokenizer.encoding.decode([token]): token for token in (tokenizer.sot, tokenizer.no_timestamps)}
    start = [{"SpecialToken": {"id": name, "type_id": 0}} for name in names]
    first, second = ({"Sequence": {"id": text, "type_id": i}} for i, text in enumerate("AB"))
    ends = [{"SpecialToken": {"id": _END_OF_TEXT, "type_id": i}} for i in (0, 1)]
    names[_END_OF_TEXT] = tokenizer.eot
    return {
        "type": "TemplateProcessing",
        "single": [*start, first, ends[0]],
        "pair": [*start, first, second, ends[1]],
        "special_tokens": {name: {"id": name, "ids": [token], "tokens": [name]} for name, token in names.items()},
    }


def _added_token(name: str, is_timestamp: bool) -> dict[str, Any]:
    """Return the settings of a special token. Timestamps are not special to transformers, so that they can be shown."""
    return {"content": name, **_KEEP_WHITESPACE, "normalized": is_timestamp, "special": not is_timestamp}


def _special_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the special tokens and their ids, in the order of the ids."""
    return {tokenizer.encoding.decode([token]): token for token in range(tokenizer.eot, tokenizer.encoding.n_vocab)}


def _listed_tokens(tokenizer: Tokenizer, special: dict[str, int]) -> list[str]:
    """Return the special tokens but the timestamps.

    A language that was added stands behind the others: CTranslate2's converter finds languages by their place in this
    list, and transformers takes the token after the last one for the first timestamp.
    """
    names = [name for name, token in special.items() if token < tokenizer.timestamp_begin]
    place = special["<|translate|>"] - tokenizer.eot
    names[place:place] = [tokenizer.encoding.decode([token]) for token in tokenizer.added_tokens]
    return names


@functools.cache
def _byte_level(encoding: tiktoken.Encoding) -> _ByteLevelEncoding:
    ranks = {token: encoding.encode_single_token(token) for token in encoding.token_byte_values()}
    ranks = dict(sorted(ranks.items(), key=lambda pair: pair[1]))
    merges = [_last_merge(token, ranks) for token in ranks if len(token) > 1]
    return _ByteLevelEncoding(
        {_printable(token): rank for token, rank in ranks.items()},
        [(_printable(left), _printable(right)) for left, right in merges],
    )


def _last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Return the two tokens that were merged into `token`. All earlier merges are applied to its bytes to find them."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in itertools.pairwise(parts)]
        i = pairs.index(min(pairs))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]


def _printable(token: bytes) -> str:
    return "".join(_byte_characters()[byte] for byte in token)


@functools.cache
def _byte_characters() -> dict[int, str]:
    """Return the character that each byte is written as."""
    others = (byte for byte in range(256) if byte not in _PRINTABLE)
    return {byte: chr(byte) for byte in _PRINTABLE} | {byte: chr(256 + i) for i, byte in enumerate(others)}
