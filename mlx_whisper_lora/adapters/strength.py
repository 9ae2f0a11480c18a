"""Merge an adapter into its base, entirely or in part."""

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.adapter_file import Adapter, load_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import fuse_adapter
from mlx_whisper_lora.whisper.model.quantization import plain_layer
from mlx_whisper_lora.whisper.model.whisper import Whisper

STRENGTH_HELP = "Share of the adapter's change of the base: 0 is the base, 1 the adapter as it was trained."
MOST_STRENGTH = 4.0


def load_fused(model: Whisper, adapter: Adapter, base_name: str, strength: float = 1.0) -> list[str]:
    """Put an adapter into the base that it was trained on, and merge it.

    Args:
        model: a plain model.
        adapter: the adapter.
        base_name: the name that the model was loaded by.
        strength: each weight becomes base + strength * (adapted - base). The token of a new language stays as trained.

    Returns:
        The paths of modules that cannot be merged into the model. They stay in it.

    Raises:
        AdapterError: the adapter belongs to another base, or cannot be merged and so has no other strength than 1.
    """
    base = _plain_weights(model) if strength != 1 else {}
    load_adapter(model, adapter, base_name)
    left = fuse_adapter(model)
    if strength != 1:
        if left:
            raise AdapterError(
                f"{adapter.path}: {adapter.config.method} cannot be merged into {left[0]}, so its strength is always 1"
            )
        _blend(model, base, strength)
    return left


def _plain_weights(model: Whisper) -> dict[str, mx.array]:
    """Return the weights of a model by name. Those that are quantized are dequantized when they are used."""
    plain = {f"{path}.weight": plain_layer(each).weight for path, each in model.named_modules() if "scales" in each}
    return dict(tree_flatten(model.parameters())) | plain


def _blend(model: Whisper, base: dict[str, mx.array], strength: float) -> None:
    """Move the weights that were changed on the line from those of the base."""
    changed = [
        (name, array, base[name])
        for name, array in tree_flatten(model.parameters())
        if name in base and array is not base[name] and array.shape == base[name].shape
    ]
    blended = [
        (name, (old.astype(mx.float32) * (1 - strength) + array.astype(mx.float32) * strength).astype(array.dtype))
        for name, array, old in changed
    ]
    model.load_weights(blended, strict=False)
