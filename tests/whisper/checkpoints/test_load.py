"""Loading and saving models in all formats, and refusing damaged ones."""

import json
import os
import shutil
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.checkpoints.hf_names import hf_weights
from mlx_whisper_lora.whisper.checkpoints.hub import resolve_model
from mlx_whisper_lora.whisper.checkpoints.layout import swap_kernel, to_openai
from mlx_whisper_lora.whisper.checkpoints.load import default_dtype, load_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.alignment_heads import heads_of_sizes
from mlx_whisper_lora.whisper.model.quantization import Quantization, dequantize, quantization_of, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, sinusoids
from tests.support.models import small_model
from tests.support.references import CHECKPOINTS

FORMATS = (
    "float32.pt",
    "views.pt",
    "parameters.pt",
    "transformers",
    "transformers_sharded",
    "transformers_torch",
    "transformers_torch_sharded",
    "transformers_float64",
)


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    """A copy of the model folder, to be damaged."""
    return shutil.copytree(model_folder, tmp_path / "own")


def arrays(model) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def edit_weights(folder: Path, **changes) -> None:
    weights = {**mx.load(str(folder / "weights.safetensors")), **changes}
    mx.eval(weights)
    weights = {name: array for name, array in weights.items() if array is not None}
    mx.save_safetensors(str(folder / "weights.safetensors"), weights)


def test_a_saved_model_loads_bit_equal(tmp_path):
    model = small_model(seed=5)
    save_model(model, tmp_path / "a" / "b")
    loaded = load_model(tmp_path / "a" / "b", mx.float32)
    assert loaded.dims == model.dims and not loaded.training
    saved, found = arrays(model), arrays(loaded)
    assert saved.keys() == found.keys() and all(np.array_equal(saved[name], found[name]) for name in saved)


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files are UTF-8 there")
def test_a_folder_whose_name_is_not_utf_8(tmp_path):
    folder = tmp_path / os.fsdecode(b"model\xff")
    save_model(small_model(seed=5), folder)
    saved, found = arrays(small_model(seed=5)), arrays(load_model(folder, mx.float32))
    assert all(np.array_equal(saved[name], found[name]) for name in saved)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_weights_are_cast(dtype, model_folder):
    model = load_model(model_folder, dtype)
    assert {array.dtype for _, array in tree_flatten(model.parameters())} == {dtype} and model.dtype == dtype


def test_the_default_type_suits_the_device(model_folder):
    assert load_model(model_folder).dtype == default_dtype()
    assert default_dtype() == (mx.float16 if mx.default_device() == mx.gpu else mx.float32)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.safetensors", "weights.npz"])
def test_every_weight_file_of_mlx_community_is_read(name, folder):
    weights = mx.load(str(folder / "weights.safetensors"))
    expected = arrays(load_model(folder, mx.float32))
    # Some converters store arrays that our encoder computes.
    weights |= {"encoder.positional_embedding": sinusoids(1500, 64), "alignment_heads": mx.zeros((2, 2))}
    mx.eval(weights)
    (folder / "weights.safetensors").unlink()
    save = mx.savez if name.endswith("npz") else mx.save_safetensors
    save(str(folder / name), **weights) if name.endswith("npz") else save(str(folder / name), weights)
    found = arrays(load_model(folder, mx.float32))
    assert all(np.array_equal(found[key], array) for key, array in expected.items())


@pytest.mark.parametrize("name", FORMATS)
def test_openai_whisper_and_transformers_files_give_openai_whispers_logits(name):
    reference = json.loads((CHECKPOINTS / "reference.json").read_text())
    model = load_model(CHECKPOINTS / name, mx.float32)
    assert model.dims.to_dict() == reference["dims"]
    logits = model(mx.ones((1, 20, 4)), mx.array([reference["tokens"]]))
    np.testing.assert_allclose(np.array(logits[0]), reference["logits"], atol=1e-4)


def test_all_formats_hold_the_same_numbers():
    first, *others = (arrays(load_model(CHECKPOINTS / name, mx.float32)) for name in FORMATS)
    for other in others:
        assert all(np.array_equal(other[name], array) for name, array in first.items())


def test_the_only_pt_file_of_a_folder_is_found(tmp_path):
    shutil.copy(CHECKPOINTS / "float16.pt", tmp_path / "small.pt")
    assert load_model(tmp_path).dims.n_vocab == 40
    shutil.copy(CHECKPOINTS / "float32.pt", tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"several \.pt files and no config\.json: give the path of one file"):
        load_model(tmp_path)


HEADS = ((0, 1), (1, 0))


def test_alignment_heads_are_kept(tmp_path, folder):
    assert load_model(CHECKPOINTS / "transformers").alignment_heads == HEADS
    assert load_model(CHECKPOINTS / "float32.pt").alignment_heads is None
    model = load_model(folder)
    assert model.alignment_heads is None
    model.alignment_heads = HEADS
    save_model(model, tmp_path / "saved")
    assert load_model(tmp_path / "saved").alignment_heads == HEADS
    edit_config(folder, alignment_heads=[[1, 1]])
    assert load_model(folder).alignment_heads == ((1, 1),)
    edit_config(folder, alignment_heads=[[7, 1]])  # of a model with more layers
    assert load_model(folder).alignment_heads is None


def test_a_published_models_heads_are_found_by_its_dimensions_and_name(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(DIMENSIONS, "large-v2", load_model(folder).dims)
    for size in ("large-v1", "large-v2"):
        own = shutil.copytree(folder, tmp_path / f"whisper-{size}")
        assert load_model(own).alignment_heads == heads_of_sizes()[size]
    assert load_model(folder).alignment_heads is None  # could be either


@pytest.mark.parametrize("bits", [4, 8])
def test_a_saved_quantized_model_loads_bit_equal(bits, tmp_path, folder):
    plain = load_model(folder, mx.float32)
    model = load_model(folder, mx.float32)
    quantize(model, Quantization(32, bits))
    save_model(model, tmp_path / "q")
    assert json.loads((tmp_path / "q" / "config.json").read_text())["quantization"] == {"group_size": 32, "bits": bits}
    weights = mx.load(str(tmp_path / "q" / "weights.safetensors"))
    mx.savez(str(tmp_path / "q" / "weights.npz"), **weights)  # as mlx-examples' converter does
    (tmp_path / "q" / "weights.safetensors").unlink()
    loaded = load_model(tmp_path / "q", mx.float32)
    assert all(np.array_equal(array, arrays(loaded)[name]) for name, array in arrays(model).items())
    mel, tokens = mx.ones((1, 40, 80)), mx.array([[50258, 50259, 7]])
    expected, found = (np.array(each.decoder(tokens, each.encoder(mel))) for each in (plain, loaded))
    assert np.abs(found - expected).mean() < np.abs(expected).mean() * (0.3 if bits == 4 else 0.03)
    half = load_model(tmp_path / "q", mx.float16)
    assert half.dtype == half.decoder.token_embedding.scales.dtype == mx.float16
    assert half(mel.astype(mx.float16), tokens).dtype == mx.float16


def test_dequantized_layers_compute_the_same_as_quantized_ones(folder):
    model = load_model(folder, mx.float32)
    plain_names = arrays(model).keys()
    quantize(model, Quantization(64, 8))
    mel, tokens = mx.ones((1, 40, 80)), mx.array([[50258, 50259, 7]])
    expected = np.array(model(mel, tokens))
    dequantize(model)
    assert quantization_of(model) is None and arrays(model).keys() == plain_names
    np.testing.assert_allclose(np.array(model(mel, tokens)), expected, atol=1e-3)


def test_a_width_that_groups_do_not_divide_is_refused():
    with pytest.raises(
        CheckpointError,
        match="groups of 128 weights do not divide this model's width of 64: give another group size out of 32, 64",
    ):
        quantize(small_model(), Quantization(128, 4))


def test_other_keys_of_the_configuration_are_ignored(folder):
    edit_config(folder, activation_dropout=0.0, architectures=["x"])
    assert load_model(folder).dims == small_model().dims


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


WEIGHTS = "weights.safetensors"
DAMAGES = {
    "no config": (
        lambda folder: (folder / "config.json").unlink(),
        "no config.json, so this is not a model folder",
    ),
    "no weights": (
        lambda folder: (folder / WEIGHTS).unlink(),
        "no weights; expected one of weights.safetensors, model.",
    ),
    "config is not JSON": (lambda folder: (folder / "config.json").write_text("{"), "not a Whisper configuration"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "not a Whisper configuration"),
    "config lacks a number": (
        lambda folder: edit_config(folder, n_mels=None),
        "n_mels is missing; the file should have the layout of mlx-community's",
    ),
    "another model": (lambda folder: edit_config(folder, model_type="wav2vec2"), "this is a wav2vec2 model, not Whisp"),
    "huge": (lambda folder: edit_config(folder, n_audio_ctx=10**9), "these dimensions are not those of a Whisper"),
    "deep": (lambda folder: edit_config(folder, n_text_layer=10**6), "these dimensions are not those of a Whisper"),
    "unknown quantization": (
        lambda folder: edit_config(folder, quantization={"bits": 7}),
        "quantization should be a g",
    ),
    "groups too large": (
        lambda folder: edit_config(folder, quantization={"group_size": 128, "bits": 4}),
        "the weights are quantized in groups of 128, which do not divide the model's width of 64",
    ),
    "quantization is text": (lambda folder: edit_config(folder, quantization="4"), "quantization should be a group_s"),
    "bits and pieces": (
        lambda folder: edit_config(folder, quantization={"group_size": 32, "bits": 4.0}),
        "quantization should be a group_s",
    ),
    "mxfp4": (lambda folder: edit_config(folder, quantization={"mode": "mxfp4"}), "quantization should be a group_s"),
    "packed, but not in the config": (
        lambda folder: edit_weights(folder, **{"decoder.ln.bias": mx.zeros(64, mx.uint32)}),
        "decoder.ln.bias has type mlx.core.uint32, which does not fit",
    ),
    "heads are not pairs": (
        lambda folder: edit_config(folder, alignment_heads=[3]),
        "should be pairs of layer and head",
    ),
    "config holds text": (lambda folder: edit_config(folder, n_mels="many"), "not a Whisper configuration"),
    "config holds a fraction": (lambda folder: edit_config(folder, n_text_layer=1.5), "1.5 is not a whole number"),
    "negative": (lambda folder: edit_config(folder, n_text_layer=-1), "these dimensions are not those of a Whisper"),
    "heads": (lambda folder: edit_config(folder, n_audio_head=3), "these dimensions are not those of a Whisper"),
    "other width": (
        lambda folder: edit_config(folder, n_mels=128),
        "conv1.weight has shape .64, 3, 80., but the configuration asks for .64, 3, 128.",
    ),
    "other depth": (lambda folder: edit_config(folder, n_text_layer=3), "the weights lack decoder.blocks.2"),
    "an array too many": (lambda folder: edit_weights(folder, extra=mx.zeros(2)), "hold extra, which is not part of"),
    "an array missing": (
        lambda folder: edit_weights(folder, **{"decoder.ln.bias": None}),
        "the weights lack decoder.ln.b",
    ),
    "empty weights": (lambda folder: truncate(folder / WEIGHTS, 0), "damaged or cut short"),
    "half a length": (lambda folder: truncate(folder / WEIGHTS, 4), "damaged or cut short"),
    "half a header": (lambda folder: truncate(folder / WEIGHTS, 100), "damaged or cut short"),
    "half the weights": (lambda folder: truncate(folder / WEIGHTS, 5_000_000), "damaged or cut short"),
    "a byte short": (lambda folder: truncate(folder / WEIGHTS, -1), "damaged or cut short"),
    "not safetensors": (
        lambda folder: (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "dam",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_reported_by_name(case, folder):
    damage, message = DAMAGES[case]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert str(error.value).startswith(str(folder))


def sharded_index(folder: Path, **weight_map) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map} if weight_map else {}))


def remove_weights(folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()


HF_DAMAGES = {
    "no weights": (remove_weights, "no weights; expected one of weights.safetensors, model.safetensors, weights.npz, "),
    "config lacks a number": (
        lambda folder: edit_config(folder, d_model=8, encoder_layers=None),
        "encoder_layers is mi",
    ),
    "another model": (
        lambda folder: edit_config(folder, model_type="speech_to_text"),
        "this is a speech_to_text model",
    ),
    "activation": (
        lambda folder: edit_config(folder, activation_function="relu"),
        "this model scales embeddings or has another act",
    ),
    "generation config": (lambda folder: (folder / "generation_config.json").write_text("{"), "generation_config.json"),
    "heads are not pairs": (
        lambda folder: (folder / "generation_config.json").write_text('{"alignment_heads": 3}'),
        "generation_config.json: alignment_heads should be pairs",
    ),
    "another front end": (
        lambda folder: (folder / "preprocessor_config.json").write_text('{"feature_size": 128}'),
        "preprocessor_config.json: feature_size is 128, but this model takes 4; fix or remove this file",
    ),
    "a shard missing": (lambda folder: next(folder.glob("model-*")).unlink(), "the file is missing, but model.safe"),
    "half a shard": (lambda folder: truncate(next(folder.glob("model-*")), 3000), "damaged or cut short"),
    "no map": (sharded_index, "no weight_map, which should name the file of each weight"),
    "a file elsewhere": (lambda folder: sharded_index(folder, a="../a.safetensors"), "the file is missing"),
    "another size": (
        lambda folder: edit_config(folder, d_model=16),
        "has shape .*, but the configuration asks for ",
    ),
}


@pytest.mark.parametrize("case", HF_DAMAGES)
def test_a_damaged_folder_of_transformers_is_reported_by_name(case, tmp_path):
    damage, message = HF_DAMAGES[case]
    folder = shutil.copytree(CHECKPOINTS / "transformers_sharded", tmp_path / "hf")
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert str(error.value).startswith(str(folder))


def test_mel_filters_of_a_folder_are_ignored(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    for settings in (
        {},
        {"feature_size": 4, "sampling_rate": 16000, "n_fft": 400, "hop_length": 160, "mel_filters": []},
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        assert load_model(folder).dims.n_mels == 4


def test_an_output_layer_that_differs_from_the_embedding_is_refused(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    weights = dict(mx.load(str(folder / "model.safetensors")))
    weights["proj_out.weight"] = weights["model.decoder.embed_tokens.weight"] * 1
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    load_model(folder)  # tied to the embedding, and stored a second time
    mx.save_safetensors(str(folder / "model.safetensors"), {**weights, "proj_out.weight": mx.ones((40, 8))})
    with pytest.raises(CheckpointError, match="the output layer proj_out differs from the token embedding"):
        load_model(folder)


def test_safetensors_are_preferred_to_pytorchs_weights(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    (folder / "pytorch_model.bin").write_text("damaged")
    load_model(folder)


def test_a_missing_file_of_pytorchs_weights_is_reported(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers_torch_sharded", tmp_path / "hf")
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(CheckpointError, match=r"but pytorch_model\.bin\.index\.json names it"):
        load_model(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.safetensors"])
@pytest.mark.parametrize("naming", ["ours", "OpenAI's", "transformers'"])
@pytest.mark.parametrize("configuration", ["transformers", "mlx"])
def test_names_of_weights_decide_and_not_the_configuration(configuration, naming, name, tmp_path):
    expected = load_model(CHECKPOINTS / "float32.pt", mx.float32)
    if configuration == "mlx":
        save_model(expected, tmp_path)
        (tmp_path / "weights.safetensors").unlink()
    else:
        shutil.copy(CHECKPOINTS / "transformers" / "config.json", tmp_path)
    weights = dict(tree_flatten(expected.parameters()))
    if naming == "OpenAI's":
        weights = {to_openai(key): swap_kernel(key, array) for key, array in weights.items()}
    elif naming == "transformers'":
        weights = hf_weights(expected)
    mx.save_safetensors(str(tmp_path / name), weights)
    assert_equal(arrays(load_model(tmp_path, mx.float32)), arrays(expected))


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


def write_safetensors(path: Path, weights: dict[str, np.ndarray]) -> None:
    """Write NumPy arrays, which may be float64, unlike MLX's."""
    header, data = {}, b""
    for name, array in weights.items():
        types = {"float64": "F64", "uint16": "BF16"}
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": types[str(array.dtype)], "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_float64_is_read_from_numpys_files(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    expected = arrays(load_model(folder, mx.float32))
    weights = mx.load(str(folder / "model.safetensors"))
    np.savez(folder / "weights.npz", **{name: np.array(array, np.float64) for name, array in weights.items()})
    (folder / "model.safetensors").unlink()
    assert_equal(arrays(load_model(folder, mx.float32)), expected)


def test_bfloat16_beside_float64_is_read(tmp_path):
    bits = np.array([0x3F80, 0xC000], np.uint16)
    write_safetensors(tmp_path / "weights.safetensors", {"a": np.ones((2, 1)), "b": bits})
    found = checkpoints.read_weights(tmp_path)
    assert found["b"].dtype == mx.bfloat16 and found["b"].tolist() == [1, -2]
    assert found["a"].dtype == mx.float32 and found["a"].shape == (2, 1)


def test_arrays_that_share_bytes_of_a_file_with_float64_are_refused(tmp_path):
    header = {f"layer{i}": {"dtype": "F64", "shape": [4], "data_offsets": [0, 32]} for i in range(50)}
    text = json.dumps(header).encode()
    (tmp_path / "weights.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(32))
    with pytest.raises(CheckpointError, match=r"damaged or cut short \(arrays overlap"):
        checkpoints.read_weights(tmp_path)


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_not_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "weights.npz", a=np.zeros(10**7, np.float32))
    monkeypatch.setattr(mx, "load", lambda path: pytest.fail("it was read"))
    with pytest.raises(
        CheckpointError, match=r"weights\.npz: its \d+ bytes unpack to 40000128, which no trained weights"
    ):
        checkpoints.read_weights(tmp_path)


def test_a_compressed_archive_of_weights_is_read(folder):
    expected = arrays(load_model(folder, mx.float32))
    np.savez_compressed(folder / "weights.npz", **expected)
    (folder / "weights.safetensors").unlink()
    assert_equal(arrays(load_model(folder, mx.float32)), expected)


def test_an_output_layer_of_another_shape_is_refused(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    weights = {**mx.load(str(folder / "model.safetensors")), "proj_out.weight": mx.ones((41, 8))}
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    with pytest.raises(CheckpointError, match="the output layer proj_out differs from the token embedding"):
        load_model(folder)


def count_refused(path: Path, flips: int) -> int:
    """Read a file with one bit flipped, several times. Return how often it is refused; no other error may be raised."""
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for position in random.integers(0, len(whole), flips):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            checkpoints.read_weights(path.parent)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: damaged or cut short")
            refused += 1
    return refused


def test_flipped_bits_in_a_file_with_float64_are_reported(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {f"layer{i}": np.full((3,), i, float) for i in range(4)})
    assert count_refused(path, 200) > 60


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.npz"])
def test_flipped_bits_in_the_structure_are_reported(name, tmp_path):
    """Flip bits in a small file, nearly all of which is structure. Only CheckpointError may be raised."""
    weights = {f"layer{i}": mx.full((3,), i) for i in range(4)}
    path = tmp_path / name
    mx.savez(str(path), **weights) if name.endswith("npz") else mx.save_safetensors(str(path), weights)
    assert count_refused(path, 100) > 30


@pytest.mark.parametrize("name", ["_check_weights", "_cast", "read_model_config", "quantize"])
def test_a_bug_in_our_loader_is_not_reported_as_a_damaged_file(name, tmp_path, monkeypatch):
    model = small_model()
    quantize(model, Quantization(32, 4))
    save_model(model, tmp_path)

    def bug(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr(checkpoints, name, bug)
    with pytest.raises(TypeError, match="a bug"):
        load_model(tmp_path)


def test_a_full_disk_leaves_the_old_model(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(file, *args, **kwargs):
        file.write(b"half a mod")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mx, "save_safetensors", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(small_model(seed=9), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_paths_and_demo_are_found_and_other_names_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_model("own") == Path("own")
    assert resolve_model("demo") == DEMO_MODEL
    for name in ("none", "./no/model", "/no/model", "~/model", "a/b/c", "no.pt", "a/no.pt", str(folder / "none")):
        with pytest.raises(CheckpointError, match=r"model not found; give a folder, a \.pt file or a Hugging Face"):
            resolve_model(name)
    with pytest.raises(CheckpointError, match=r"^smal: model not found; did you mean small\?$"):
        resolve_model("smal")
    with pytest.raises(
        CheckpointError,
        match=r"not a model; give a folder with config\.json and weights, a \.pt file of OpenAI or a",
    ):
        resolve_model(folder / "config.json")


def test_a_folder_called_demo_has_precedence_over_the_bundled_model(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename("demo")
    assert resolve_model("demo") == Path("demo")
