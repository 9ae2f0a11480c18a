"""The exported folder of transformers. tests/parity opens it with transformers, CTranslate2 and whisper.cpp."""

import json
from dataclasses import replace

import mlx.core as mx
import pytest

from mlx_whisper_lora.whisper.checkpoints.hf_export import generation_config, model_config, save_hf_model
from mlx_whisper_lora.whisper.checkpoints.hf_tokenizer import tokenizer_files
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.models import SMALL, small_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = small_model()
    model.alignment_heads = ((1, 0), (1, 1))
    path = tmp_path_factory.mktemp("hf")
    save_hf_model(model, path)
    return path


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_the_files_are_those_that_openais_repositories_have(folder):
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "normalizer.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    weights, metadata = mx.load(str(folder / "model.safetensors"), return_metadata=True)
    assert metadata["format"] == "pt"
    assert weights["model.encoder.conv1.weight"].shape == (64, 80, 3)
    assert weights["model.encoder.embed_positions.weight"].shape == (1500, 64)
    assert "proj_out.weight" not in weights


# The numbers are those in the files of openai/whisper-tiny and openai/whisper-tiny.en.
def test_token_ids_are_openais():
    model = small_model()
    config = generation_config(model, get_tokenizer(True))
    assert config["decoder_start_token_id"] == 50258 and config["eos_token_id"] == 50257
    assert config["begin_suppress_tokens"] == [220, 50257]
    assert config["suppress_tokens"][:9] == [1, 2, 7, 8, 9, 10, 14, 25, 26]
    assert config["suppress_tokens"][-7:] == [50254, 50258, 50358, 50359, 50360, 50361, 50362]
    assert len(config["lang_to_id"]) == 99 and config["lang_to_id"]["<|te|>"] == 50299
    assert config["task_to_id"] == {"transcribe": 50359, "translate": 50358}
    assert config["no_timestamps_token_id"] == 50363 and config["max_initial_timestamp_index"] == 50
    model = small_model(n_vocab=51864)
    model.default_language = "en"  # of an adapter; transformers takes a language for a model of several
    english = generation_config(model, get_tokenizer(False))
    assert english["decoder_start_token_id"] == 50257 and english["begin_suppress_tokens"] == [220, 50256]
    assert not {"lang_to_id", "language"} & english.keys() and not english["is_multilingual"]


def test_alignment_heads_and_dimensions_are_written(folder):
    assert read(folder, "generation_config.json")["alignment_heads"] == [[1, 0], [1, 1]]
    config = read(folder, "config.json")
    names = ("d_model", "encoder_layers", "decoder_attention_heads", "encoder_ffn_dim", "num_mel_bins", "vocab_size")
    assert [config[name] for name in names] == [64, 2, 2, 256, 80, 51865]
    assert config["torch_dtype"] == "float32"
    half = small_model()
    half.set_dtype(mx.bfloat16)
    assert model_config(half, get_tokenizer(True))["torch_dtype"] == "bfloat16"
    preprocessor = read(folder, "preprocessor_config.json")
    assert preprocessor["feature_size"] == 80 and preprocessor["nb_max_frames"] == 3000


@pytest.mark.slow
@pytest.mark.parametrize(("multilingual", "languages"), [(False, 99), (True, 99), (True, 100)])
def test_every_token_has_one_id(multilingual, languages):
    tokenizer = get_tokenizer(multilingual, num_languages=languages)
    files = tokenizer_files(tokenizer)
    vocabulary, added = files["vocab.json"], files["added_tokens.json"]
    numbers = sorted([*vocabulary.values(), *added.values()])
    assert numbers == list(range(tokenizer.encoding.n_vocab))
    assert vocabulary["Ġthe"] == tokenizer.encode(" the")[0] and vocabulary["<|endoftext|>"] == tokenizer.eot
    assert added["<|30.00|>"] == tokenizer.encoding.n_vocab - 1
    special = files["tokenizer_config.json"]["additional_special_tokens"]
    # CTranslate2 takes the languages from this list, without the first two and the last six entries.
    assert special[2:-6] == [f"<|{code}|>" for code in tokenizer.all_language_codes]


def test_the_merges_are_gpt2s():
    lines = tokenizer_files(get_tokenizer(False))["merges.txt"].splitlines()
    assert lines[:8] == ["#version: 0.2", "Ġ t", "Ġ a", "h e", "i n", "r e", "o n", "Ġt he"]
    assert len(lines) == 1 + 50_000 and lines[-1] == "Ġg azed"


def test_the_tokenizers_library_gives_the_same_tokens(folder):
    tokenizers = pytest.importorskip("tokenizers")
    theirs, ours = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")), get_tokenizer(True)
    for text in (" Hello, world! It's 3.14", "నమస్కారం", "  spaces\n and\ttabs ", "こんにちは 😀"):
        assert theirs.encode(text, add_special_tokens=False).ids == ours.encode(text)
        assert theirs.encode(text).ids == [ours.sot, ours.no_timestamps, *ours.encode(text), ours.eot]
        assert theirs.decode(ours.encode(text)) == text
    assert theirs.encode("<|te|> hello<|1.08|>", add_special_tokens=False).ids == [
        50299,
        *ours.encode(" hello"),
        50364 + 54,
    ]


def test_a_vocabulary_that_is_not_whispers_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="a vocabulary of 51900 tokens is not one of Whisper's, so the m"):
        save_hf_model(Whisper(replace(SMALL, n_vocab=51900)), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
