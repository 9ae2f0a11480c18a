"""A value that a checkpoint stores is used, or refused. None is dropped in silence."""

import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.adapter_file import fingerprint
from mlx_whisper_lora.whisper.checkpoints.layout import swap_kernel, to_openai
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, export_model
from mlx_whisper_lora.whisper.model.whisper import Whisper, are_sinusoids, sinusoids
from tests.support.models import small_model
from tests.support.pt_writer import write_pt
from tests.support.references import CHECKPOINTS

FILES = {"mlx": "", "hf": "", "ct2": "", "ggml": "ggml-model.bin", "pt": "small.pt"}  # the path to load, by format


def model_with_trained_positions() -> Whisper:
    model = small_model()
    model.encoder.positional_embedding = model.encoder.positions + 0.003 * mx.random.normal((1500, 64))
    return model


def write(model: Whisper, folder: Path, form: str) -> None:
    """Write a plain model in float32 in one of the formats."""
    if form != "pt":
        export_model(model, folder, ExportOptions("float32", export=form))
        return
    weights = {name: swap_kernel(name, array) for name, array in tree_flatten(model.parameters())}
    weights |= {"encoder.positional_embedding": model.encoder.positions}
    state = {to_openai(name): np.array(array) for name, array in weights.items()}
    folder.mkdir()
    write_pt(folder / "small.pt", {"dims": model.dims.to_dict(), "model_state_dict": state})


@pytest.mark.parametrize("form", FILES)
def test_trained_encoder_positions_are_used_and_kept_in_every_format(form, tmp_path):
    model = model_with_trained_positions()
    write(model, tmp_path / "out", form)
    loaded = load_model(tmp_path / "out" / FILES[form], mx.float32)
    assert mx.array_equal(loaded.encoder.positions, model.encoder.positions)
    mel = mx.ones((1, 40, 80))
    assert mx.allclose(loaded.encoder(mel), model.encoder(mel), atol=1e-5)
    assert not mx.allclose(loaded.encoder(mel), small_model().encoder(mel), atol=1e-3)
    assert fingerprint(loaded) == fingerprint(model) != fingerprint(small_model())


@pytest.mark.parametrize("form", FILES)
def test_sinusoids_in_a_file_are_no_trained_positions(form, tmp_path):
    write(small_model(), tmp_path / "out", form)
    loaded = load_model(tmp_path / "out" / FILES[form], mx.float32)
    assert fingerprint(loaded) == fingerprint(small_model())
    assert "encoder.positional_embedding" not in dict(tree_flatten(loaded.parameters()))


def test_trained_positions_survive_quantization(tmp_path):
    model = model_with_trained_positions()
    positions = model.encoder.positions
    export_model(model, tmp_path / "q", ExportOptions("float32", quantize=True, q_bits=8))
    assert mx.array_equal(load_model(tmp_path / "q", mx.float32).encoder.positions, positions)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
@pytest.mark.parametrize("width", [384, 1280])
def test_sinusoids_are_recognized_in_every_type(dtype, width):
    stored = sinusoids(1500, width).astype(dtype)
    assert are_sinusoids(stored) and are_sinusoids(stored.astype(mx.float32))
    assert are_sinusoids((sinusoids(1500, width) + 1e-4).astype(dtype))  # PyTorch's are as far off
    assert not are_sinusoids((sinusoids(1500, width) + 0.01).astype(dtype))
    assert not are_sinusoids(mx.full((1500, width), float("nan"), dtype))


def test_a_small_change_of_the_positions_counts_in_float32():
    assert not are_sinusoids(sinusoids(1500, 384) + 0.0005)


def test_positions_of_another_length_are_refused(tmp_path):
    folder = shutil.copytree(CHECKPOINTS / "transformers", tmp_path / "hf")
    weights = mx.load(str(folder / "model.safetensors")) | {"model.encoder.embed_positions.weight": mx.ones((9, 8))}
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    with pytest.raises(ValueError, match=r"encoder.positional_embedding has shape \(9, 8\), but the configuration"):
        load_model(folder)
