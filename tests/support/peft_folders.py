"""Folders as PEFT saves them, of the adapters that tools/references/make_peft_adapter.py made and of seeded ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.load import load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.model.whisper import Whisper

REFERENCE = Path(__file__).parents[1] / "adapters" / "reference" / "peft"
CASES = ("query_value", "patterns", "dora")
PROMPT = [50258, 50259, 50359, 50363]


def reference_logits(case: str) -> np.ndarray:
    """Return transformers' logits with an adapter, or with the "base" alone."""
    return np.load(REFERENCE / "logits.npz")[case]


def demo_logits(model: Whisper) -> np.ndarray:
    """Return our logits of the same tokens after the same clip."""
    clip = load_clips(DEMO_CLIPS)["test"][0]
    mel = log_mel_spectrogram(pad_or_trim(load_audio(clip.audio, start=clip.start, end=clip.end)), 80)
    logits = np.array(model(mel[None], mx.array([PROMPT])).astype(mx.float32))[0, -1]
    return logits[np.load(REFERENCE / "logits.npz")["tokens"]]


def copy_reference(folder: Path, case: str = "query_value", **config: Any) -> Path:
    """Copy a stored folder, with other values in its configuration. Return the copy."""
    shutil.copytree(REFERENCE / case, folder)
    change_config(folder, **config)
    return folder


def change_config(folder: Path, **config: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def change_arrays(folder: Path, **changes: mx.array | None) -> None:
    """Replace arrays of a folder by name. None removes one."""
    path = folder / "adapter_model.safetensors"
    arrays = mx.load(str(path))
    mx.eval(arrays)
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    mx.save_safetensors(str(path), arrays)


def write_peft_folder(folder: Path, width: int = 64, layers: int = 2, rank: int = 2, **config: Any) -> Path:
    """Write an adapter of all queries and values of a model of that width, in PEFT's names. Return the folder."""
    random = np.random.default_rng(0)
    blocks = [(side, i) for side in ("encoder", "decoder") for i in range(layers)]
    arrays = {}
    for side, i in blocks:
        for layer in ("q_proj", "v_proj"):
            name = f"base_model.model.model.{side}.layers.{i}.self_attn.{layer}"
            arrays[f"{name}.lora_A.weight"] = mx.array(random.standard_normal((rank, width)) * 0.1, mx.float32)
            arrays[f"{name}.lora_B.weight"] = mx.array(random.standard_normal((width, rank)) * 0.1, mx.float32)
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapter_model.safetensors"), arrays)
    stored = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "v_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(stored))
    return folder
