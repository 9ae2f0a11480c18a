"""Find out what the tokens of a checkpoint mean.

The size of a vocabulary alone says too little: a base with an added token is as large as large-v3's. The files beside
the weights name the tokens: transformers' tokenizers and generation_config.json, and CTranslate2's vocabulary.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlx_whisper_lora.whisper.checkpoints.config import read_json
from mlx_whisper_lora.whisper.checkpoints.layout import CONFIG_FILE, GENERATION_CONFIG_FILE, TOKENIZER_FILES
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions
from mlx_whisper_lora.whisper.text.languages import language_code
from mlx_whisper_lora.whisper.text.tokenizer import TASKS, VOCABULARIES, Vocabulary, vocabulary_of_size

_SMALLEST = VOCABULARIES[0].size
_V3_MELS = 128  # of the models with 100 languages, and of no others
_OLD_NAMES = {"<|nocaptions|>": "<|nospeech|>", "<|iw|>": "<|he|>"}  # as in the first models in English alone
_MARKER = re.compile(r"<\|.*\|>")
_LANGUAGE = re.compile(r"<\|(?!(pad|unk|bos|eos|sep|cls)\|)[a-z]{2,3}([-_]\w+)?\|>")
_TIMESTAMP = re.compile(r"<\|\d+\.\d\d\|>")
_ROLES = {
    "decoder_start_token_id": "<|startoftranscript|>",
    "eos_token_id": "<|endoftext|>",
    "no_timestamps_token_id": "<|notimestamps|>",
    "prev_sot_token_id": "<|startofprev|>",
}
# The defaults of transformers' WhisperConfig, which it also writes for a model that has other tokens.
_UNSET_ROLES = {"<|startoftranscript|>": 50257, "<|endoftext|>": 50256}
# Raised by files of other contents.
_JSON_ERRORS = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


class _Claim(NamedTuple):
    """A statement of a file about a token."""

    path: Path
    name: str  # such as <|en|>
    token: int


def find_vocabulary(path: Path, dims: ModelDimensions) -> Vocabulary | None:
    """Find out which of Whisper's vocabularies a checkpoint has.

    Its embedding may have the row of a new language behind it, and unused rows.

    Args:
        path: a model folder, or a file, which names no tokens.
        dims: the dimensions of the model.

    Returns:
        The vocabulary, or None if the model has fewer tokens than any of them.

    Raises:
        CheckpointError: tokens have other meanings than in Whisper, or a meaning that Whisper lacks, or the checkpoint
            does not say enough about them.
    """
    if dims.n_vocab < _SMALLEST:
        return None
    claims = list(_claims(path)) if path.is_dir() else []
    expected = vocabulary_of_size(dims.n_vocab)
    if expected == VOCABULARIES[-1] and dims.n_mels != _V3_MELS:
        expected = None
    candidates = [vocabulary for vocabulary in VOCABULARIES if vocabulary.size <= dims.n_vocab]
    candidates.sort(key=lambda vocabulary: vocabulary != expected)
    conflicts = {vocabulary: _conflicts(vocabulary, claims) for vocabulary in candidates}
    fitting = [vocabulary for vocabulary in candidates if not conflicts[vocabulary]]
    if not fitting:
        raise CheckpointError(min(conflicts.values(), key=len)[0])
    if len(fitting) > 1 and fitting[0] != expected:
        raise CheckpointError(
            f"{path}: OpenAI has no model with {dims.n_mels} mel bands and {dims.n_vocab} tokens, and no file says "
            "what the tokens mean; use the folder of transformers that the model comes from, with the files of its "
            f"tokenizer and {GENERATION_CONFIG_FILE}"
        )
    added = [claim for claim in claims if fitting[0].size <= claim.token < dims.n_vocab]
    vocabulary = _add_language(fitting[0], added)
    _check_added_tokens(path, vocabulary, added)
    return vocabulary


def _add_language(vocabulary: Vocabulary, added: list[_Claim]) -> Vocabulary:
    """Return the vocabulary with the language that its first added token stands for, if there is one."""
    first = {name for _, name, token in added if token == vocabulary.size and _LANGUAGE.fullmatch(name)}
    code = first.pop()[2:-2] if len(first) == 1 else None
    if code is None or not vocabulary.multilingual or code in vocabulary.languages or language_code(code) != code:
        return vocabulary
    return vocabulary.with_language(code)


def _conflicts(vocabulary: Vocabulary, claims: list[_Claim]) -> list[str]:
    """Return a message on each claim that does not hold in a vocabulary."""
    known = vocabulary.special_tokens()
    messages = []
    for path, name, token in claims:
        if name == "<|en|>" and path.name == CONFIG_FILE and not vocabulary.multilingual:
            continue  # CTranslate2's converter writes the languages of the other models
        if known.get(name, token) != token:
            messages.append(f"{path}: {name} is token {token}, but in Whisper's vocabulary it is {known[name]}")
        elif name not in known and token < vocabulary.size:
            messages.append(f"{path}: token {token} is {name}, which has another meaning in Whisper's vocabulary")
    return messages


def _check_added_tokens(path: Path, vocabulary: Vocabulary, claims: list[_Claim]) -> None:
    """Raise CheckpointError if a token behind a vocabulary can be a part of a transcript or the name of a language.

    Other special tokens, such as one for padding, are never generated.
    """
    special: set[str] | None = None
    for file, name, token in claims:
        if token < vocabulary.size or _TIMESTAMP.fullmatch(name):  # so CTranslate2's converter calls unused rows
            continue
        if _LANGUAGE.fullmatch(name):
            raise CheckpointError(
                f"{file}: token {token} is the language {name}, which Whisper's vocabulary of {vocabulary.size} tokens "
                "lacks; one added language is supported, as the next token, by its usual code"
            )
        if special is None:
            special = _special_names(path)
        if name not in special and not _MARKER.fullmatch(name):
            raise CheckpointError(
                f"{file}: token {token} is the text {name!r}, which was added to Whisper's vocabulary; models with "
                "added text tokens are not supported"
            )


def _claims(folder: Path) -> Iterator[_Claim]:
    """Yield what the files of a folder say about special and added tokens."""
    for path in (folder / name for name in TOKENIZER_FILES):
        if path.exists():
            for name, token in _named_tokens(path):
                yield _Claim(path, _OLD_NAMES.get(name, name), token)
    for path in (folder / GENERATION_CONFIG_FILE, folder / CONFIG_FILE):
        if path.exists():
            for name, token in _roles(read_json(path)):
                if isinstance(token, list) and token:  # several ends of text
                    token = token[0]
                if not isinstance(token, int):
                    raise CheckpointError(f"{path}: {name} should be the number of a token, not {token!r}")
                yield _Claim(path, _OLD_NAMES.get(name, name), token)


def _named_tokens(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the names and numbers of special and added tokens in a file of a tokenizer."""
    try:
        text = path.read_text(encoding="utf-8")
        contents: Any = text.splitlines() if path.suffix == ".txt" else json.loads(text)
        match path.name:
            case "added_tokens.json":
                yield from ((str(name), int(token)) for name, token in contents.items())
            case "vocab.json":
                yield from ((name, int(token)) for name, token in contents.items() if _MARKER.fullmatch(name))
            case "vocabulary.json" | "vocabulary.txt":
                yield from _from_list(contents)
            case "tokenizer.json":
                yield from ((entry["content"], int(entry["id"])) for entry in contents.get("added_tokens") or ())
            case "tokenizer_config.json":
                entries = contents.get("added_tokens_decoder") or {}
                yield from ((entry["content"], int(token)) for token, entry in entries.items())
    except _JSON_ERRORS as error:
        raise CheckpointError(f"{path}: not the file of a tokenizer ({error!r}); fix or remove it") from None


def _from_list(names: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the special tokens in a list of all tokens, and those behind them. The first of a name counts."""
    tokens: dict[str, int] = {}
    for token, name in enumerate(names):
        if token >= VOCABULARIES[-1].size or _MARKER.fullmatch(name):
            tokens.setdefault(name, token)
    yield from tokens.items()


def _roles(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the special tokens that a configuration names, and their numbers, unchecked."""
    roles = {name: config[key] for key, name in _ROLES.items() if config.get(key) is not None}
    if roles.items() != _UNSET_ROLES.items():
        yield from roles.items()
    for key in ("lang_to_id", "task_to_id"):
        tokens = config.get(key)
        for name, token in tokens.items() if isinstance(tokens, dict) else ():
            yield (f"<|{name}|>" if name in TASKS else name), token
    languages = config.get("lang_ids")  # CTranslate2's
    if isinstance(languages, list) and languages:
        yield "<|en|>", languages[0]


def _special_names(folder: Path) -> set[str]:
    """Return the tokens that a tokenizer's files call special, such as one for padding."""
    names: set[str] = set()
    for name in ("special_tokens_map.json", "tokenizer_config.json", "tokenizer.json"):
        if (folder / name).exists():
            names |= set(_special_entries(read_json(folder / name)))
    return names


def _special_entries(contents: dict[str, Any]) -> Iterator[str]:
    """Yield the special tokens in the JSON of a tokenizer's file."""
    lists = [contents.get(key) for key in ("added_tokens", "additional_special_tokens", "extra_special_tokens")]
    entries = [entry for each in lists if isinstance(each, list) for entry in each]
    decoder = contents.get("added_tokens_decoder")
    entries += list(decoder.values()) if isinstance(decoder, dict) else []
    entries += [value for key, value in contents.items() if key.endswith("_token")]
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict) and entry.get("special", True) and isinstance(entry.get("content"), str):
            yield entry["content"]
