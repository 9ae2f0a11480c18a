"""Which cross-attention heads follow the words."""

import functools
import json
from dataclasses import replace

from mlx_whisper_lora.whisper.assets import ASSETS
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, AlignmentHeads, ModelDimensions, Whisper


def alignment_heads(model: Whisper) -> AlignmentHeads:
    """The model's own, or else all heads of the upper layers."""
    dims = model.dims
    upper_half = range(dims.n_text_layer // 2, dims.n_text_layer)
    every = tuple((layer, head) for layer in upper_half for head in range(dims.n_text_head))
    return model.alignment_heads or every


def published_heads(dims: ModelDimensions, name: str) -> AlignmentHeads | None:
    """Those of the published model with these dimensions, or None.

    large-v1 and large-v2 share theirs: a `name` such as "openai/whisper-large-v2" tells which one it is.
    """
    sizes = [size for size in published() if published_dimensions(size) == dims]
    if len(sizes) > 1:
        sizes = [size for size in sizes if size in name]
    return published()[sizes[0]] if len(sizes) == 1 else None


@functools.cache
def published() -> dict[str, AlignmentHeads]:
    """The aligning heads of each published model."""
    found = json.loads((ASSETS / "alignment_heads.json").read_text(encoding="utf-8"))
    return {size: tuple((layer, head) for layer, head in heads) for size, heads in found.items()}


def published_dimensions(size: str) -> ModelDimensions:
    if size.endswith(".en"):
        return replace(DIMENSIONS[size.removesuffix(".en")], n_vocab=51864)
    return DIMENSIONS["large-v2" if size == "large-v1" else size]
