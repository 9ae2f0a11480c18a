"""Model folders: what is read, what is written, what is refused."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from helpers import small_model
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper import checkpoints
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.checkpoints import default_dtype, load_model, save_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.hub import find_model


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    """A model folder of one's own to damage."""
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


def test_a_saved_model_loads_as_it_was(tmp_path):
    model = small_model(seed=5)
    save_model(model, tmp_path / "a" / "b")
    loaded = load_model(tmp_path / "a" / "b", mx.float32)
    assert loaded.dims == model.dims and not loaded.training
    saved, found = arrays(model), arrays(loaded)
    assert saved.keys() == found.keys() and all(np.array_equal(saved[name], found[name]) for name in saved)


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
    # Some converters store what is computed.
    weights |= {"encoder.positional_embedding": mx.zeros((1500, 64)), "alignment_heads": mx.zeros((2, 2))}
    mx.eval(weights)
    (folder / "weights.safetensors").unlink()
    save = mx.savez if name.endswith("npz") else mx.save_safetensors
    save(str(folder / name), **weights) if name.endswith("npz") else save(str(folder / name), weights)
    found = arrays(load_model(folder, mx.float32))
    assert all(np.array_equal(found[key], array) for key, array in expected.items())


def test_other_keys_of_the_configuration_are_left_aside(folder):
    edit_config(folder, activation_dropout=0.0, architectures=["x"])
    assert load_model(folder).dims == small_model().dims


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


WEIGHTS = "weights.safetensors"
DAMAGES = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json, so this is not a model folder"),
    "no weights": (
        lambda folder: (folder / WEIGHTS).unlink(),
        "no weights; expected one of weights.safetensors, model.",
    ),
    "config is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "not a Whisper configuration"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "not a Whisper configuration"),
    "config lacks a number": (
        lambda folder: edit_config(folder, n_mels=None),
        "n_mels is missing; the layouts of",
    ),
    "config holds text": (lambda folder: edit_config(folder, n_mels="many"), "not a Whisper configuration"),
    "negative": (lambda folder: edit_config(folder, n_text_layer=-1), "these dimensions are not those of a Whisper"),
    "heads": (lambda folder: edit_config(folder, n_audio_head=3), "these dimensions are not those of a Whisper"),
    "other width": (lambda folder: edit_config(folder, n_mels=128), "conv1.weight has shape .64, 3, 80., and its dimensions ask for .64, 3, 128."),
    "other depth": (lambda folder: edit_config(folder, n_text_layer=3), "the weights lack decoder.blocks.2"),
    "an array too many": (lambda folder: edit_weights(folder, extra=mx.zeros(2)), "hold extra, which is no part of"),
    "an array missing": (
        lambda folder: edit_weights(folder, **{"decoder.ln.bias": None}),
        "the weights lack decoder.ln.b",
    ),
    "empty weights": (lambda folder: truncate(folder / WEIGHTS, 0), "damaged or cut short"),
    "half a length": (lambda folder: truncate(folder / WEIGHTS, 4), "damaged or cut short"),
    "half a header": (lambda folder: truncate(folder / WEIGHTS, 100), "damaged or cut short"),
    "half the weights": (lambda folder: truncate(folder / WEIGHTS, 5_000_000), "damaged or cut short"),
    "a byte short": (lambda folder: truncate(folder / WEIGHTS, -1), "damaged or cut short"),
    "no safetensors": (
        lambda folder: (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "dam",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_told_by_name(case, folder):
    damage, message = DAMAGES[case]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert str(error.value).startswith(str(folder))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.npz"])
def test_flipped_bits_in_the_structure_are_told(name, tmp_path):
    """Flips in a small file, where nearly all is structure; the loader must never crash or leak another exception."""
    weights = {f"layer{i}": mx.full((3,), i) for i in range(4)}
    path = tmp_path / name
    mx.savez(str(path), **weights) if name.endswith("npz") else mx.save_safetensors(str(path), weights)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for position in random.integers(0, len(whole), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            checkpoints.read_weights(tmp_path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: damaged or cut short")
            refused += 1
    assert refused > 30


def test_a_full_disk_leaves_the_old_model(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(file, *args, **kwargs):
        file.write(b"half a mod")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mx, "save_safetensors", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(small_model(seed=9), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_names_of_models(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("own") == Path("own")
    assert find_model("demo") == DEMO_MODEL
    for name in ("none", "./no/model", "/no/model", "~/model", "a/b/c", str(folder / "none")):
        with pytest.raises(CheckpointError, match="no such model folder"):
            find_model(name)
    with pytest.raises(CheckpointError, match=r"a folder with config\.json and weights or a \.pt file, not this"):
        find_model(folder / "config.json")


def test_a_folder_of_one_s_own_called_demo_goes_first(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder.rename("demo")
    assert find_model("demo") == Path("demo")
