"""The cross-attention heads that follow the words, from which word timings are computed."""

import functools
import json
from dataclasses import replace

from mlx_whisper_lora.whisper.assets import ASSETS
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, AlignmentHeads, ModelDimensions, Whisper


def alignment_heads(model: Whisper) -> AlignmentHeads:
    """Return the alignment heads of a model, or all heads in the upper half of its decoder if they are not known."""
    dims = model.dims
    upper_half = range(dims.n_text_layer // 2, dims.n_text_layer)
    every = tuple((layer, head) for layer in upper_half for head in range(dims.n_text_head))
    return model.alignment_heads or every


def published_heads(dims: ModelDimensions, name: str) -> AlignmentHeads | None:
    """Return the alignment heads of the published model with these dimensions.

    Args:
        dims: the dimensions of a model.
        name: a name or path of the model, such as "openai/whisper-large-v2". It decides between large-v1 and large-v2,
            which have the same dimensions.

    Returns:
        The heads, or None if no published model, or more than one, fits.
    """
    sizes = [size for size in heads_of_sizes() if dimensions_of_size(size) == dims]
    if len(sizes) > 1:
        sizes = [size for size in sizes if size in name]
    return heads_of_sizes()[sizes[0]] if len(sizes) == 1 else None


@functools.cache
def heads_of_sizes() -> dict[str, AlignmentHeads]:
    """Return the alignment heads of each published model by its size, such as "large-v2"."""
    found = json.loads((ASSETS / "alignment_heads.json").read_text(encoding="utf-8"))
    return {size: tuple((layer, head) for layer, head in heads) for size, heads in found.items()}


def dimensions_of_size(size: str) -> ModelDimensions:
    """Return the dimensions of a published model, such as "tiny.en"."""
    if size.endswith(".en"):
        return replace(DIMENSIONS[size.removesuffix(".en")], n_vocab=51864)
    return DIMENSIONS["large-v2" if size == "large-v1" else size]
