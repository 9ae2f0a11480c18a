"""OpenAI's whisper-base in a folder that needs NumPy alone, for the other packages."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.load import load_model


def write_base(folder: Path) -> None:
    """Write the weights of `load_model("base")` in float32, as config.json and weights.npz, which mlx-whisper reads."""
    folder.mkdir(parents=True, exist_ok=True)
    model = load_model("base", mx.float32)
    config = {"model_type": "whisper", **model.dims.to_dict()}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    np.savez(folder / "weights.npz", **{name: np.array(array) for name, array in tree_flatten(model.parameters())})
