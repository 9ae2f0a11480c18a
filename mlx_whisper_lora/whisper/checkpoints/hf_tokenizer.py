"""Whisper's vocabularies in the files of transformers' tokenizers.

The same byte-pair encoding in other words: tiktoken ranks tokens by when they were merged, transformers lists the
merges, and writes each byte as a printable character (Radford et al. 2019, GPT-2).
"""

import functools
import itertools
from typing import Any

import tiktoken

from mlx_whisper_lora.whisper.text.tokenizer import N_TIMESTAMPS, Tokenizer

# Bytes that stand for themselves; the others are written as the characters from 256 on.
PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))
END_OF_TEXT = "<|endoftext|>"
# Shared by the files: white space around tokens is never swallowed.
KEEP_WHITESPACE = {"single_word": False, "lstrip": False, "rstrip": False}


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, Any]:
    """File name -> contents, as text for merges.txt and else as what the JSON holds.

    vocab.json and added_tokens.json are what whisper.cpp's converter reads, tokenizer.json what faster-whisper reads.
    """
    vocabulary, merges = byte_level(tokenizer.encoding)
    vocabulary = {**vocabulary, END_OF_TEXT: tokenizer.eot}
    special = special_tokens(tokenizer)
    added = {
        token: {"content": name, **KEEP_WHITESPACE, "normalized": is_timestamp, "special": not is_timestamp}
        for name, token in special.items()
        for is_timestamp in [token >= tokenizer.timestamp_begin]
    }
    return {
        "vocab.json": vocabulary,
        "merges.txt": "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges),
        "added_tokens.json": {name: token for name, token in special.items() if name != END_OF_TEXT},
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": token, **settings} for token, settings in added.items()],
            "normalizer": None,
            "pre_tokenizer": BYTE_LEVEL,
            "post_processor": None,
            "decoder": BYTE_LEVEL,
            "model": {**BPE, "vocab": vocabulary, "merges": [f"{left} {right}" for left, right in merges]},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "WhisperTokenizer",
            "processor_class": "WhisperProcessor",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 1024,
            **{f"{role}_token": END_OF_TEXT for role in ("bos", "eos", "pad", "unk")},
            "additional_special_tokens": [name for name, token in special.items() if token < tokenizer.timestamp_begin],
            "added_tokens_decoder": {str(token): settings for token, settings in added.items()},
        },
    }


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BPE = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


def special_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """Special tokens in the order of their ids, timestamps last."""
    last = tokenizer.timestamp_begin + N_TIMESTAMPS
    return {tokenizer.encoding.decode([token]): token for token in range(tokenizer.eot, last)}


@functools.cache
def byte_level(encoding: tiktoken.Encoding) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The text tokens in printable characters with their ids, and the merges that make them, earliest first."""
    ranks = {token: encoding.encode_single_token(token) for token in encoding.token_byte_values()}
    ranks = dict(sorted(ranks.items(), key=lambda pair: pair[1]))
    merges = [last_merge(token, ranks) for token in ranks if len(token) > 1]
    return (
        {printable(token): rank for token, rank in ranks.items()},
        [(printable(left), printable(right)) for left, right in merges],
    )


def last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that were merged into `token`: what its bytes become by all the merges before."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in itertools.pairwise(parts)]
        i = pairs.index(min(pairs))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]


def printable(token: bytes) -> str:
    return "".join(byte_characters()[byte] for byte in token)


@functools.cache
def byte_characters() -> dict[int, str]:
    """Byte -> the character it is written as."""
    others = (byte for byte in range(256) if byte not in PRINTABLE)
    return {byte: chr(byte) for byte in PRINTABLE} | {byte: chr(256 + i) for i, byte in enumerate(others)}
