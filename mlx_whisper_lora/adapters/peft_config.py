"""Read the `adapter_config.json` of a PEFT adapter, and refuse what would compute something else than LoRA
or DoRA.

Each key of the file is known to change nothing, is used, or has to be off. So a setting that this library does not know
is an error, and not an adapter that computes something else.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.errors import one_line
from mlx_whisper_lora.whisper.option import OptionError

CONFIG_FILE = "adapter_config.json"
_USED = (
    "peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "lora_dropout", "use_rslora",
    "rank_pattern", "alpha_pattern", "init_lora_weights", "bias", "use_dora",
)  # fmt: skip
# Where the layers are is read from the arrays. The others describe training, the file, or a feature that is off.
_WITHOUT_EFFECT = (
    "task_type", "auto_mapping", "peft_version", "inference_mode", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config",
    "lora_ga_config", "velora_config", "runtime_config", "qalora_group_size", "ensure_weight_tying",
)  # fmt: skip
_REASONS = {
    "modules_to_save": "it holds entire layers beside the matrices",
    "trainable_token_indices": "it holds rows of the token embedding",
    "lora_bias": "its matrices have biases",
    "fan_in_fan_out": "it belongs to layers that Whisper does not have",
    "layer_replication": "its base has copies of layers",
    "alora_invocation_tokens": "it is active after some tokens only",
}
_UNKNOWN = "this library does not know what it computes then"
_MERGE = "merge it into its base with PEFT (merge_and_unload, then save_pretrained), and give that model with --model"
# Ways to draw the first matrices that leave the weights of the base as they are.
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")
_CONVERT = (
    "save it with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...), which makes a plain one"
)


@dataclass(frozen=True)
class PeftConfig:
    """The settings of a PEFT adapter that decide what it computes.

    Raises:
        OptionError: a value is out of range.
    """

    rank: int
    alpha: float
    dropout: float
    rank_stabilized: bool
    ranks: Mapping[str, int]  # by patterns of names of layers
    alphas: Mapping[str, float]  # by patterns, too
    base: str  # its name or path, and "" if it is not known
    dora: bool = False  # whether the layers have magnitudes

    def __post_init__(self):
        for rank in (self.rank, *self.ranks.values()):
            LoRAConfig(rank=rank, dropout=self.dropout)
        for alpha in (self.alpha, *self.alphas.values()):
            LoRAConfig(rank=self.rank, scale=self._divided(alpha, self.rank))

    @property
    def scale(self) -> float:
        """The scale of layers without a pattern."""
        return self._divided(self.alpha, self.rank)

    def rank_of(self, layer: str) -> int:
        """Return the rank of a layer, which has the name of transformers: model.decoder.layers.0.self_attn.q_proj."""
        return _matched(self.ranks, layer, self.rank)

    def scale_of(self, layer: str) -> float:
        """Return the scale of such a layer."""
        return self._divided(_matched(self.alphas, layer, self.alpha), self.rank_of(layer))

    def _divided(self, alpha: float, rank: int) -> float:
        return alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


def _matched(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    """Return the value of the first pattern that stands for the end of a name, as PEFT chooses it."""
    found = (value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", layer))
    return next(found, default)


def read_peft_config(folder: Path) -> PeftConfig:
    """Read the configuration in a folder of PEFT.

    Raises:
        AdapterError: it is missing or damaged, or the adapter is not a plain LoRA.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise AdapterError(f"{folder}: an adapter of PEFT without its {CONFIG_FILE}; copy that file too")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path}: damaged ({one_line(error)})") from None
    if not isinstance(stored, dict):
        raise AdapterError(f"{path}: damaged (it should be a JSON object)")
    _check_plain_lora(path, stored)
    try:
        return PeftConfig(
            rank=_typed(stored, "r", int),
            alpha=_typed(stored, "lora_alpha", float),
            dropout=_typed(stored, "lora_dropout", float, 0.0),
            rank_stabilized=_typed(stored, "use_rslora", bool, False),
            ranks=_pattern(stored, "rank_pattern", int),
            alphas=_pattern(stored, "alpha_pattern", float),
            base=_base_name(stored),
            dora=_typed(stored, "use_dora", bool, False),
        )
    except OptionError as error:
        raise AdapterError(f"{path}: {error}") from None
    except ValueError as error:
        raise AdapterError(f"{path}: damaged ({one_line(error)})") from None


def _check_plain_lora(path: Path, stored: dict[str, Any]) -> None:
    """Raise AdapterError, naming the key, unless a configuration is that of a plain LoRA."""
    kind, start, bias = stored.get("peft_type"), stored.get("init_lora_weights", True), stored.get("bias", "none")
    if kind != "LORA":
        raise AdapterError(f"{path}: peft_type is {kind!r}, and of PEFT's adapters this library reads LORA; {_MERGE}")
    if not any(start is plain or (isinstance(plain, str) and start == plain) for plain in _PLAIN_STARTS):
        raise AdapterError(
            f"{path}: init_lora_weights is {start!r}, which changes the weights of the base, so the adapter does not "
            f"fit the published one; {_CONVERT}"
        )
    if bias != "none":
        raise AdapterError(f"{path}: bias is {bias!r}, and trained biases of the base are not read; {_MERGE}")
    for key in sorted(stored.keys() - {*_USED, *_WITHOUT_EFFECT}):
        value = stored[key]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)  # a detail of something that is off
        if value and not is_number:
            raise AdapterError(f"{path}: {key} is {json.dumps(value)[:60]}: {_REASONS.get(key, _UNKNOWN)}; {_MERGE}")


def _typed(stored: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
    """Return a value as the type that it should have. Raise ValueError if it has another."""
    value: Any = stored.get(key)
    value = default if value is None else value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{key} is {value!r}")
    return value


def _pattern(stored: dict[str, Any], key: str, kind: type) -> dict[str, Any]:
    """Return a pattern's values by regular expressions. Raise ValueError if it is damaged."""
    patterns = _typed(stored, key, dict, {})
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{key} has {pattern!r}, which is not a regular expression: {error}") from None
    return {pattern: _typed(patterns, pattern, kind) for pattern in patterns}


def _base_name(stored: dict[str, Any]) -> str:
    name, revision = (_typed(stored, key, str, "") for key in ("base_model_name_or_path", "revision"))
    return f"{name}@{revision}" if name and revision and not Path(name).exists() else name
