"""Low-rank adaptation of the direction of weights, with their magnitude trained apart.

Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation" (2024): y = m * (V x) / ||V||, in which V = W + scale * B A,
and m holds a trained magnitude for each output. The norm ||V|| of each row is a constant in the gradient (section 4.3),
which saves memory. m starts as ||W||, so that training begins at the base model.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.lora import LoRA, LoRAConfig, LoRALinear
from mlx_whisper_lora.whisper.model.quantization import plain_layer
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.option import documented

_SMALLEST_SQUARE = 1e-12  # of a norm, so that a row of zeros stays one


@documented
@dataclass(frozen=True)
class DoRAConfig(LoRAConfig):
    """The layers that get adapters, and the size of these, as for LoRA."""

    def __str__(self) -> str:
        return f"DoRA, {super().__str__()}"


class DoRALinear(LoRALinear):
    """A frozen linear layer with a trainable low-rank addition and trainable magnitudes.

    Attributes, besides those of LoRALinear:
        linear: the frozen layer without its bias, plain or quantized.
        bias: the frozen bias, if the layer has one.
        magnitude: the norm of the adapted weight of each output, shape (output dimensions,).
    """

    def __init__(
        self,
        linear: nn.Linear | nn.QuantizedLinear,
        lora_a: mx.array,
        lora_b: mx.array,
        scale: float,
        dropout: float,
    ):
        super().__init__(twin(linear), lora_a, lora_b, scale, dropout)
        if "bias" in linear:
            self.bias = self.linear.pop("bias")
            self.freeze(keys="bias", recurse=False)
        weight = plain_layer(linear).weight.astype(mx.float32)
        self.magnitude = self._base_norm = mx.sqrt(mx.maximum((weight**2).sum(axis=1), _SMALLEST_SQUARE))
        mx.eval(self._base_norm)  # an array is computed in the thread that made it
        self._kept = _KeptNorm()

    def __call__(self, x: mx.array) -> mx.array:
        low_rank = (self.dropout(x) @ self.lora_a) @ self.lora_b
        y = (self.linear(x) + self.scale * low_rank) * (self.magnitude / self._norm())
        return (y + self.bias if "bias" in self else y).astype(x.dtype)

    def fuse(self) -> nn.Linear:
        """Return a plain linear layer with the adapted weight, computed in float32."""
        fused = plain_layer(self.linear)
        merged = self.merged(fused.weight)
        fused.weight = (merged * (self.magnitude / self._norm())[:, None]).astype(fused.weight.dtype)
        if "bias" in self:
            fused.bias = self.bias
        return fused

    def _norm(self) -> mx.array:
        """Return the norm of each row of W + scale * B A. It is kept while the model does not train."""
        matrices = self.lora_a, self.lora_b
        if self.training:
            return self._compute_norm(*matrices)
        if any(new is not old for new, old in zip(matrices, self._kept.matrices, strict=True)):
            norm = self._compute_norm(*matrices)
            mx.eval(norm)  # an array is computed in the thread that made it
            self._kept.norm, self._kept.matrices = norm, matrices
        return self._kept.norm

    def _compute_norm(self, lora_a: mx.array, lora_b: mx.array) -> mx.array:
        """Return the norms by the binomial formula, which never makes the product B A, nor W from a quantized layer."""
        a, b = mx.stop_gradient(lora_a.astype(mx.float32)), mx.stop_gradient(lora_b.astype(mx.float32))
        mixed = (self.linear(a.T) * b).sum(axis=0)
        addition = ((a.T @ a @ b) * b).sum(axis=0)
        squares = self._base_norm**2 + 2 * self.scale * mixed + self.scale**2 * addition
        return mx.sqrt(mx.maximum(squares, _SMALLEST_SQUARE))


class _KeptNorm:
    """The norms of a layer, and the matrices that they belong to. It is not a part of the module's parameters."""

    def __init__(self) -> None:
        self.matrices: tuple[mx.array | None, mx.array | None] = (None, None)
        self.norm = mx.array(0.0)


class DoRA(LoRA):
    """The method "dora" of the registry."""

    Config = DoRAConfig
    Layer = DoRALinear
    about = "LoRA with the magnitudes of the weights trained apart"
