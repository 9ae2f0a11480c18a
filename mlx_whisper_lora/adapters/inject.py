"""Put adapters into a Whisper model and take them out again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.adapters.lora import LoRALinear
from mlx_whisper_lora.whisper.model.quantization import parameter_count
from mlx_whisper_lora.whisper.model.whisper import Whisper

DEFAULT_TARGETS = ("attn.query", "attn.value")
ATTENTION = ("query", "key", "value", "out")
TARGETS = (
    *(f"attn.{name}" for name in ATTENTION),
    *(f"cross_attn.{name}" for name in ATTENTION),  # decoder only
    "mlp1",
    "mlp2",
)


class AdapterError(ValueError):
    """Adapter settings or an adapter file that do not fit; the message says which and what to do."""


@dataclass(frozen=True)
class LoRAConfig:
    """Where adapters go and how large they are. layers: the last N blocks of encoder and of decoder, -1 for all."""

    rank: int = 8
    scale: float = 2.0
    dropout: float = 0.0
    layers: int = 4
    targets: tuple[str, ...] = DEFAULT_TARGETS

    def __post_init__(self):
        unknown = [target for target in self.targets if target not in TARGETS]
        if unknown or not self.targets:
            raise AdapterError(
                f"unknown LoRA target {', '.join(unknown) or '(none)'}: choose from {', '.join(TARGETS)}"
            )
        if self.rank < 1:
            raise AdapterError(f"the LoRA rank must be at least 1, got {self.rank}")
        if not 0 < self.scale < math.inf:
            raise AdapterError(f"the LoRA scale must be above 0, got {self.scale}")
        if not 0 <= self.dropout < 1:
            raise AdapterError(f"LoRA dropout must be at least 0 and below 1, got {self.dropout}")
        if self.layers < 1 and self.layers != -1:
            raise AdapterError(f"the number of LoRA layers must be at least 1, or -1 for all, got {self.layers}")


def target_paths(model: Whisper, layers: int, targets: Sequence[str]) -> Iterator[str]:
    """Module paths of the linear layers that adapters go to, such as decoder.blocks.3.attn.query.

    Raises AdapterError when the model has fewer blocks than `layers`.
    """
    for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        count = len(part.blocks)
        if layers > count:
            raise AdapterError(f"{layers} LoRA layers asked for, but this model's {side} has {count} blocks; "
                               f"give at most {count}, or -1 for all")  # fmt: skip
        for i in range(count if layers == -1 else layers):
            block = count - 1 - i
            for target in targets:
                if side == "decoder" or not target.startswith("cross_attn"):
                    yield f"{side}.blocks.{block}.{target}"


def add_lora(model: Whisper, config: LoRAConfig) -> None:
    """Put a fresh LoRALinear at every target of a plain model. Raises AdapterError; then nothing has changed."""
    check_plain(model)
    modules = dict(model.named_modules())
    paths = list(target_paths(model, config.layers, config.targets))
    replace_modules(
        model,
        {path: LoRALinear.from_base(modules[path], config.rank, config.scale, config.dropout) for path in paths},
    )


def freeze_base(model: Whisper) -> None:
    """Freeze the base; the low-rank matrices alone stay trainable."""
    model.freeze()
    for module in lora_modules(model).values():
        module.unfreeze(keys=["lora_a", "lora_b"], recurse=False)


def fuse_lora(model: Whisper) -> int:
    """Merge every LoRALinear of the model into a plain linear layer, in place; returns how many there were."""
    fused = {path: module.fuse() for path, module in lora_modules(model).items()}
    replace_modules(model, fused)
    return len(fused)


def lora_modules(model: Whisper) -> dict[str, LoRALinear]:
    """The model's LoRALinear layers by module path."""
    return {path: module for path, module in model.named_modules() if isinstance(module, LoRALinear)}


def check_plain(model: Whisper) -> None:
    """Raise AdapterError if the model has adapters."""
    if lora_modules(model):
        raise AdapterError("this model has adapters already: load it anew, or fuse them into it first")


def replace_modules(model: Whisper, modules: dict[str, nn.Module]) -> None:
    """Put `modules`, by their paths, into the model, in its mode: dropout works in training only."""
    model.update_modules(tree_unflatten(list(modules.items())))
    model.train(model.training)


def describe_trainable_parameters(model: Whisper) -> str:
    """How many parameters train on each side, and in all: the line that `lora` prints before training."""

    def millions(parameters: dict) -> float:
        return sum(array.size for _, array in tree_flatten(parameters)) / 1e6

    encoder = millions(model.encoder.trainable_parameters())
    decoder = millions(model.decoder.trainable_parameters())
    total = parameter_count(model) / 1e6
    return (
        f"Trainable parameters: encoder {encoder:.3f}M, decoder {decoder:.3f}M "
        f"({100 * (encoder + decoder) / total:.3f} % of {total:.3f}M)"
    )
