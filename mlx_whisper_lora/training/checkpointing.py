"""Gradient checkpointing: blocks are computed again in the backward pass, so that what is inside them takes no memory.

Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).
"""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.whisper.model.ops import compiles
from mlx_whisper_lora.whisper.model.randomness import random_numbers_from, random_state
from mlx_whisper_lora.whisper.model.whisper import Features, LayerCache, ResidualAttentionBlock, Whisper
from mlx_whisper_lora.whisper.option import OptionError

Compute = Callable[..., mx.array]


def checkpoint_blocks(model: Whisper, settings: Any = None) -> None:
    """Let each block of a model keep its input alone for the backward pass. The parameters keep their paths.

    Args:
        model: the model.
        settings: the configuration of its method of training.

    Raises:
        OptionError: there is dropout, and the step is compiled: the second time, other numbers would be dropped.
    """
    if compiles() and getattr(settings, "dropout", None):
        raise OptionError("`grad_checkpoint` and dropout exclude each other on a GPU: leave out one of them")
    for module in model.modules():
        if isinstance(module, ResidualAttentionBlock):
            module.__class__ = CheckpointedBlock


class CheckpointedBlock(ResidualAttentionBlock):
    """A block that is computed again in the backward pass."""

    def __call__(
        self,
        x: mx.array,
        audio_features: Features | None = None,
        mask: mx.array | str | None = None,
        cache: LayerCache | None = None,
        need_weights: bool = False,
    ) -> tuple[mx.array, mx.array | None]:
        """Compute the block as `ResidualAttentionBlock` does."""
        if not self.training or cache is not None or need_weights:
            return super().__call__(x, audio_features, mask, cache, need_weights)
        whole = super().__call__
        is_pair = isinstance(audio_features, tuple)  # of a window and silence
        features = () if audio_features is None else audio_features if is_pair else (audio_features,)
        weights = tree_flatten(self.trainable_parameters())

        def compute(x: mx.array, *inputs: mx.array) -> mx.array:
            heard, given = inputs[: len(features)], inputs[len(features) :]
            self.update(tree_unflatten([(name, array) for (name, _), array in zip(weights, given, strict=True)]))
            output, _ = whole(x, heard if is_pair else (heard[0] if heard else None), mask)
            self.update(tree_unflatten(weights))
            return output

        recomputed = mx.checkpoint(compute) if compiles() else _recomputed(compute)
        return recomputed(x, *features, *(array for _, array in weights)), None


def _recomputed(compute: Compute) -> Compute:
    """Return a function of arrays that is computed again, at once, in the backward pass, with its random numbers.

    `mx.checkpoint` would put off all work to the end of the backward pass, and then have the inside of all blocks.
    """
    start = random_state()

    @mx.custom_function
    def function(*inputs: mx.array) -> mx.array:
        return _untraced(compute(*map(_untraced, inputs)))

    @function.vjp
    def _(inputs, cotangent, output):
        inputs = [inputs] if isinstance(inputs, mx.array) else inputs  # MLX gives a single input as it is
        with random_numbers_from(start):
            _, gradients = mx.vjp(compute, [_untraced(each) for each in inputs], [_untraced(cotangent)])
            return [_untraced(each) for each in gradients]

    return function


def _untraced(array: mx.array) -> mx.array:
    """Compute an array, and return it without what it was made of."""
    if array.dtype == mx.bfloat16:  # which NumPy lacks
        return mx.array(np.array(array.view(mx.uint16))).view(mx.bfloat16)
    return mx.array(np.array(array))
