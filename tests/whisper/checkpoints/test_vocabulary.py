"""Checkpoints whose vocabulary has another size than Whisper's: each is read right, or refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.hf_tokenizer import tokenizer_files
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, export_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.models import SMALL
from tests.support.pt_writer import write_pt

TINY = replace(SMALL, n_audio_ctx=10, n_audio_state=32, n_text_state=32, n_audio_layer=1, n_text_layer=1)
ENGLISH = replace(TINY, n_vocab=51864)
V3 = replace(TINY, n_vocab=51866, n_mels=128)
EMBEDDING = "decoder.token_embedding.weight"


def seeded(dims) -> Whisper:
    mx.random.seed(3)
    return Whisper(dims)


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Replace the contents of a JSON file. `change` returns the new value, or changes the old one in place."""
    contents = json.loads(path.read_text(encoding="utf-8"))
    changed = change(contents)
    path.write_text(json.dumps(contents if changed is None else changed), encoding="utf-8")


def grow(folder: Path, n_vocab: int) -> None:
    """Give the token embedding of a folder of transformers more rows, which would win every step."""
    path = folder / "model.safetensors"
    weights = dict(mx.load(str(path)))
    name = "model." + EMBEDDING.replace("token_embedding", "embed_tokens")
    weights[name] = mx.concatenate([weights[name], mx.full((n_vocab - len(weights[name]), 32), 9.0)])
    mx.eval(weights)
    mx.save_safetensors(str(path), weights)
    edit(folder / "config.json", lambda config: config | {"vocab_size": n_vocab})


def folder_of_transformers(tmp_path: Path, dims, n_vocab: int) -> Path:
    export_model(seeded(dims), tmp_path / "hf", ExportOptions("float32", export="hf"))
    grow(tmp_path / "hf", n_vocab)
    return tmp_path / "hf"


def add_token(folder: Path, name: str, token: int, special: bool) -> None:
    """Add a token as `tokenizer.add_tokens` does."""
    entry = {"content": name, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    entry |= {"special": special}
    edit(folder / "added_tokens.json", lambda added: added | {name: token})
    edit(folder / "tokenizer.json", lambda whole: whole["added_tokens"].append({"id": token, **entry}))
    edit(folder / "tokenizer_config.json", lambda whole: whole["added_tokens_decoder"].update({str(token): entry}))


def assert_same_model(loaded: Whisper, expected: Whisper) -> None:
    assert loaded.dims == expected.dims and loaded.num_languages == expected.num_languages
    arrays = dict(tree_flatten(loaded.parameters()))
    assert all(mx.array_equal(arrays[name], array) for name, array in tree_flatten(expected.parameters()))


@pytest.mark.parametrize(
    ("dims", "n_vocab"), [(TINY, 51866), (TINY, 51904), (ENGLISH, 51865), (ENGLISH, 51904), (V3, 51867), (V3, 51872)]
)
def test_rows_without_a_token_are_dropped(dims, n_vocab, tmp_path):
    assert_same_model(load_model(folder_of_transformers(tmp_path, dims, n_vocab), mx.float32), seeded(dims))


@pytest.mark.parametrize("kept", [("added_tokens.json",), ("tokenizer.json",), ("generation_config.json",)])
def test_one_file_that_names_tokens_is_enough(kept, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    for path in folder.glob("*.json"):
        if path.name not in (*kept, "config.json"):
            path.unlink()
    assert_same_model(load_model(folder, mx.float32), seeded(TINY))


@pytest.mark.parametrize("name", ["[PAD]", "<|pad|>"])
def test_a_token_for_padding_is_dropped(name, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    add_token(folder, name, 51865, special=True)
    assert_same_model(load_model(folder, mx.float32), seeded(TINY))


def test_an_added_token_without_a_row_is_ignored(tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51865)
    add_token(folder, "word", 51865, special=False)
    assert_same_model(load_model(folder, mx.float32), seeded(TINY))


@pytest.mark.parametrize(("name", "older"), [("<|nospeech|>", "<|nocaptions|>"), ("<|he|>", "<|iw|>")])
def test_older_names_are_known(name, older, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    old = (folder / "added_tokens.json").read_text().replace(name, older)
    assert older in old
    (folder / "added_tokens.json").write_text(old)
    assert_same_model(load_model(folder, mx.float32), seeded(TINY))


def test_languages_that_ctranslate2_gives_a_model_in_english_alone_do_not_count(tmp_path):
    """As faster-whisper's tiny.en has them, with the numbers of the other models."""
    export_model(seeded(ENGLISH), tmp_path / "ct2", ExportOptions("float32", export="ct2"))
    edit(tmp_path / "ct2" / "config.json", lambda config: config | {"lang_ids": [50259, 50260]})
    assert_same_model(load_model(tmp_path / "ct2", mx.float32), seeded(ENGLISH))


@pytest.mark.parametrize(
    ("name", "special", "message"),
    [
        ("<|div|>", True, "token 51865 is the language <|div|>, which Whisper's vocabulary of 51865 tokens lacks"),
        ("<|zh-TW|>", True, "token 51865 is the language <|zh-TW|>, which Whisper's vocabulary of 51865 tokens lacks"),
        ("ᱥᱟ", False, "token 51865 is the text 'ᱥᱟ', which was added to Whisper's vocabulary"),
    ],
)
def test_an_added_token_that_a_transcript_needs_is_refused(name, special, message, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    add_token(folder, name, 51865, special)
    with pytest.raises(CheckpointError, match="supported") as caught:
        load_model(folder)
    assert message in str(caught.value) and str(folder / "added_tokens.json") in str(caught.value)


def test_a_second_added_language_is_refused(tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51867)
    languages = {"<|dv|>": 51865, "<|or|>": 51866}
    edit(folder / "generation_config.json", lambda config: config["lang_to_id"].update(languages))
    message = (
        r"generation_config\.json: token 51866 is the language <\|or\|>, which .* of 51866 tokens lacks; one added"
    )
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


@pytest.mark.parametrize(("dims", "code"), [(TINY, "dv"), (TINY, "yue"), (V3, "dv")])
def test_an_added_language_is_known_by_its_name(dims, code, tmp_path):
    """Rows alone say too little: 51866 of them may be large-v3's, or those of base and a new language."""
    folder = folder_of_transformers(tmp_path, dims, dims.n_vocab + 3)
    add_token(folder, f"<|{code}|>", dims.n_vocab, special=True)
    model = load_model(folder, mx.float32)
    tokenizer = model.tokenizer(code)
    assert tokenizer.language_token == dims.n_vocab == model.dims.n_vocab - 1
    assert model.num_languages == (100 if dims is V3 else 99)
    assert (tokenizer.timestamp_begin, tokenizer.timestamp_end) == (dims.n_vocab - 1501, dims.n_vocab)


@pytest.mark.parametrize("options", [{}, {"export": "hf"}, {"export": "ct2"}, {"quantize": True, "q_group_size": 32}])
def test_a_model_with_an_added_language_is_written_and_read_again(options, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    add_token(folder, "<|dv|>", 51865, special=True)
    model = load_model(folder, mx.float32)
    row = np.array(model.decoder.token_embedding.weight[-1])
    export_model(model, tmp_path / "out", ExportOptions("float32", **options))
    written = load_model(tmp_path / "out", mx.float32)
    assert (written.vocabulary, written.dims) == (model.vocabulary, model.dims)
    np.testing.assert_allclose(written.decoder.token_embedding(mx.array([51865]))[0], row, atol=1e-3)


def test_an_added_language_stands_behind_the_others_where_converters_look_for_it():
    tokenizer = get_tokenizer(True, language="dv", new_language="dv")
    files = tokenizer_files(tokenizer)
    listed = files["tokenizer_config.json"]["additional_special_tokens"]
    assert listed[2:-6] == [f"<|{code}|>" for code in tokenizer.all_language_codes] and listed[-7] == "<|dv|>"
    assert files["added_tokens.json"]["<|dv|>"] == 51865
    last = files["tokenizer.json"]["added_tokens"][-2:]
    assert [(each["content"], each["id"], each["special"]) for each in last] == [
        ("<|30.00|>", 51864, False),
        ("<|dv|>", 51865, True),
    ]


def test_whisper_cpp_cannot_have_an_added_language(tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    add_token(folder, "<|dv|>", 51865, special=True)
    with pytest.raises(CheckpointError, match=r"cannot hold the new language 'dv', because whisper\.cpp takes the"):
        export_model(load_model(folder), tmp_path / "ggml", ExportOptions("float32", export="ggml"))
    assert not (tmp_path / "ggml").exists()


MOVED = {
    "no timestamps": ("generation_config.json", lambda config: config.update(no_timestamps_token_id=50364)),
    "start": ("generation_config.json", lambda config: config.update(decoder_start_token_id=50259)),
    "end": ("generation_config.json", lambda config: config.update(eos_token_id=[50256])),
    "a task": ("generation_config.json", lambda config: config["task_to_id"].update(transcribe=50358)),
    "a language": ("generation_config.json", lambda config: config["lang_to_id"].update({"<|te|>": 50300})),
    "previous": ("generation_config.json", lambda config: config.update(prev_sot_token_id=50360)),
    "added": ("added_tokens.json", lambda added: added.update({"<|transcribe|>": 50360})),
    "in tokenizer.json": ("tokenizer.json", lambda whole: whole["added_tokens"][5].update(id=50300)),
    "another meaning": ("added_tokens.json", lambda added: added.update({"<|speaker|>": 50400})),
    "all shifted": (
        "added_tokens.json",
        lambda added: {name: token + (token > 50300) for name, token in added.items()},
    ),
}


@pytest.mark.parametrize("case", MOVED)
@pytest.mark.parametrize("n_vocab", [51865, 51866])
def test_tokens_in_other_places_are_refused(case, n_vocab, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, n_vocab)
    name, change = MOVED[case]
    edit(folder / name, change)
    with pytest.raises(CheckpointError, match="Whisper's vocabulary") as caught:
        load_model(folder)
    assert str(caught.value).startswith(f"{folder}")


@pytest.mark.parametrize("name", ["added_tokens.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"])
@pytest.mark.parametrize("contents", ["{", "[1]", '{"<|en|>": "x", "added_tokens": 3, "added_tokens_decoder": [3]}'])
def test_a_damaged_file_of_a_tokenizer_is_named(name, contents, tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51865)
    (folder / name).write_text(contents)
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("n_vocab", [51866, 51872, 51904])
def test_a_file_that_names_no_tokens_is_refused(n_vocab, tmp_path):
    model = seeded(replace(TINY, n_vocab=n_vocab))
    path = tmp_path / "small.pt"
    arrays = {name: np.array(array) for name, array in tree_flatten(model.parameters())}
    write_pt(path, {"dims": model.dims.to_dict(), "model_state_dict": arrays})
    with pytest.raises(CheckpointError, match=f"no model with 80 mel bands and {n_vocab} tokens, and no file says"):
        load_model(path)


def test_ctranslate2_names_its_tokens(tmp_path):
    folder = folder_of_transformers(tmp_path, TINY, 51866)
    ct2 = tmp_path / "ct2"
    export_model(load_model(folder, mx.float32), ct2, ExportOptions("float32", export="ct2"))
    assert_same_model(load_model(ct2, mx.float32), seeded(TINY))
    edit(ct2 / "vocabulary.json", lambda names: [*names[:50300], "<|xx|>", *names[50300:]])
    with pytest.raises(CheckpointError, match=r"vocabulary\.json: token 50300 is <\|xx\|>, which has another meaning"):
        load_model(ct2)


def test_transformers_defaults_of_token_roles_say_nothing(tmp_path):
    """WhisperConfig() names the tokens of the English-only models, whatever the vocabulary is."""
    folder = folder_of_transformers(tmp_path, TINY, 51865)
    for path in folder.glob("*.json"):
        if path.name != "config.json":
            path.unlink()
    edit(folder / "config.json", lambda config: config.update(decoder_start_token_id=50257, eos_token_id=50256))
    assert_same_model(load_model(folder, mx.float32), seeded(TINY))


def test_a_vocabulary_that_is_not_whispers_has_no_tokenizer():
    with pytest.raises(CheckpointError, match="a vocabulary of 64 tokens is not one of Whisper's, so the meaning"):
        seeded(replace(TINY, n_vocab=64)).tokenizer()
