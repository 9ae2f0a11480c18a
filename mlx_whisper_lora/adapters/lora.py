"""Low-rank adaptation of a linear layer.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021): y = W x + scale * B A x, with W frozen, A random
and B zero at the start, so that training begins at the base model. In PEFT's terms scale = alpha / rank. The frozen
layer may be quantised (Dettmers et al., "QLoRA", 2023); A and B are not.
"""

import math

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.whisper.model.quantization import plain_layer, weight_shape


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable low-rank addition.

    lora_a: (input dimensions, rank); lora_b: (rank, output dimensions).
    """

    @staticmethod
    def from_base(
        linear: nn.Linear | nn.QuantizedLinear, rank: int = 8, scale: float = 2.0, dropout: float = 0.0
    ) -> "LoRALinear":
        """Wrap `linear`, which is kept as it is, in a new low-rank addition that starts at zero."""
        output_dims, input_dims = weight_shape(linear)
        return LoRALinear(linear, mx.random.uniform(-1, 1, (input_dims, rank)) / math.sqrt(input_dims),
                          mx.zeros((rank, output_dims)), scale, dropout)  # fmt: skip

    def __init__(
        self,
        linear: nn.Linear | nn.QuantizedLinear,
        lora_a: mx.array,
        lora_b: mx.array,
        scale: float,
        dropout: float,
    ):
        super().__init__()
        self.linear = linear
        self.lora_a = lora_a
        self.lora_b = lora_b
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def __call__(self, x: mx.array) -> mx.array:
        low_rank = (self.dropout(x) @ self.lora_a) @ self.lora_b
        return self.linear(x) + (self.scale * low_rank).astype(x.dtype)

    def fuse(self) -> nn.Linear:
        """A plain linear layer with the addition merged into its weight, computed in float32."""
        fused = plain_layer(self.linear)
        delta = self.scale * (self.lora_b.T.astype(mx.float32) @ self.lora_a.T.astype(mx.float32))
        fused.weight = (fused.weight.astype(mx.float32) + delta).astype(fused.weight.dtype)
        return fused
