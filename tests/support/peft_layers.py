"""PEFT's layers with its numbers for them (tools/references/make_lora.py)."""

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlx_whisper_lora.adapters.dora import DoRALinear
from mlx_whisper_lora.adapters.lora import LoRAConfig, LoRALinear

_FILE = Path(__file__).parents[1] / "adapters" / "reference" / "lora_linear.npz"


def reference(case: str) -> dict[str, np.ndarray]:
    """Return PEFT's numbers of a case, such as "no_bias"."""
    return {key.split("/")[1]: array for key, array in np.load(_FILE).items() if key.startswith(case + "/")}


def layer_of(case: str) -> LoRALinear:
    """Return PEFT's layer in our layout: its A is (rank, inputs) and its B (outputs, rank)."""
    numbers = reference(case)
    config = LoRAConfig(len(numbers["a"]), alpha=float(numbers["alpha"]), rank_stabilized=case == "rank_stabilized")
    outputs, inputs = numbers["weight"].shape
    linear = nn.Linear(inputs, outputs, bias="bias" in numbers)
    linear.weight = mx.array(numbers["weight"])
    if "bias" in numbers:
        linear.bias = mx.array(numbers["bias"])
    kind = DoRALinear if "magnitude" in numbers else LoRALinear
    return kind(linear, mx.array(numbers["a"].T), mx.array(numbers["b"].T), config.factor, dropout=0.0)
