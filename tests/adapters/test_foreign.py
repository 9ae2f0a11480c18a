"""Files of other libraries that are given for an adapter: the error says what they are, and what to do."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from tests.support.pt_writer import write_pt

PEFT_NAME = "base_model.model.model.decoder.layers.0.self_attn.q_proj.lora_A.weight"
PEFT_CONFIG = {"auto_mapping": None, "base_model_name_or_path": "openai/whisper-small", "peft_type": "LORA", "r": 8}
MATRIX = np.ones((8, 64), np.float32)


def safetensors(path: Path, name: str) -> Path:
    mx.save_safetensors(str(path), {name: mx.array(MATRIX)})
    return path


def npz(path: Path, name: str) -> Path:
    np.savez(path, **{name: MATRIX})
    return path


def pt(path: Path, name: str) -> Path:
    write_pt(path, {name: MATRIX})
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"")
    return path


def recording(path: Path) -> Path:
    soundfile.write(path, np.zeros(160), 16000)
    return path


PEFT, MLX = "a part of an adapter of PEFT; give the folder", "an adapter of mlx-lm or mlx-examples, .* train an"
MODEL = "the weights of a model, .* --model"
FOREIGN = {
    "PEFT, safetensors": (lambda at: safetensors(at / "adapter_model.safetensors", PEFT_NAME), PEFT),
    "PEFT, PyTorch": (lambda at: pt(at / "adapter_model.bin", PEFT_NAME), PEFT),
    "PEFT, configuration": (lambda at: text(at / "adapter_config.json", json.dumps(PEFT_CONFIG)), PEFT),
    "mlx-lm": (lambda at: safetensors(at / "adapters.safetensors", "model.layers.0.self_attn.q_proj.lora_a"), MLX),
    "mlx-lm, folder": (lambda at: folder(at / "lm", "adapter_config.json", "adapters.safetensors"), MLX),
    "mlx-lm, configuration": (lambda at: text(at / "a.json", '{"lora_parameters": {}}'), "a configuration, not the ad"),
    "mlx-examples": (lambda at: npz(at / "adapters.npz", "decoder.blocks.0.attn.query.lora_a"), MLX),
    "LoRA of images": (
        lambda at: safetensors(at / "x.safetensors", "lora_te_layers_0.lora_down.weight"),
        "of an image",
    ),
    "model of MLX": (lambda at: npz(at / "weights.npz", "encoder.conv1.weight"), MODEL),
    "model of transformers": (lambda at: safetensors(at / "m.safetensors", "model.encoder.conv1.weight"), MODEL),
    "model of OpenAI": (lambda at: pt(at / "tiny.pt", "encoder.conv1.weight"), "a file of PyTorch, .* with --model"),
    "model folder": (
        lambda at: folder(at / "model", "config.json", "weights.npz"),
        "the folder of a model, .* --model",
    ),
    "folder of ours": (lambda at: folder(at / "run", "a.npz"), r"a folder, not an adapter file; give .*run/a\.npz"),
    "empty folder": (lambda at: folder(at / "empty"), "a folder, not an adapter file"),
    "unknown tensors": (lambda at: safetensors(at / "x.safetensors", "x"), "a file of safetensors, not an adapter of"),
    "array": (lambda at: np.save(at / "a.npy", MATRIX) or at / "a.npy", "a single NumPy array, .* give the .npz file"),
    "Git LFS": (
        lambda at: text(at / "a.npz", "version https://git-lfs.github.com/spec/v1\n"),
        "pointer of Git LFS .*`git lfs pull`",
    ),
    "web page": (
        lambda at: text(at / "a.npz", "\ufeff\n<!DOCTYPE html><html>"),
        "a web page, not an adapter; download",
    ),
    "recording": (lambda at: recording(at / "x.flac"), "a recording, not an adapter"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_the_error_says_what_a_file_is(case, tmp_path):
    make, message = FOREIGN[case]
    path = make(tmp_path)
    with pytest.raises(AdapterError, match=f": this is .*{message}") as error:
        read_adapter(path)
    assert str(error.value).startswith(f"{path}: ") and "unsafe" not in str(error.value)


def test_a_pickle_is_named_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.asarray(Bomb(), dtype=object).dump(tmp_path / "adapters.npz")
    with pytest.raises(AdapterError, match=r"this is pickled Python objects, .* train an adapter"):
        read_adapter(tmp_path / "adapters.npz")
    assert not (tmp_path / "exploded").exists()
