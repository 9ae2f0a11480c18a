"""The methods of adapting a model, by name.

A new method is a file with a configuration and a module, and an entry in METHODS. The flags of `lora`, the adapter file
and fusing follow from them.
"""

from typing import Any

from mlx_whisper_lora.adapters.bitfit import BitFit
from mlx_whisper_lora.adapters.bottleneck import Adapters
from mlx_whisper_lora.adapters.dora import DoRA
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.head_alone import HeadAlone
from mlx_whisper_lora.adapters.lora import LoRA
from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.adapters.reprogramming import Reprogramming
from mlx_whisper_lora.adapters.soft_prompt import SoftPrompts
from mlx_whisper_lora.adapters.weights import DecoderConfig, EncoderConfig, FullConfig, Weights

METHODS: dict[str, Method] = {
    "lora": LoRA(),
    "dora": DoRA(),
    "adapter": Adapters(),
    "bitfit": BitFit(),
    "encoder": Weights(EncoderConfig, "all weights of the encoder", "encoder"),
    "decoder": Weights(DecoderConfig, "all weights of the decoder", "decoder"),
    "full": Weights(FullConfig, "all weights", "encoder", "decoder"),
    "reprogram": Reprogramming(),
    "prompt": SoftPrompts(),
    "head": HeadAlone(),
}
DEFAULT_METHOD = "lora"


def method_name(config: Any) -> str:
    """Return the name of the method that a configuration belongs to.

    Raises:
        AdapterError: no method has such a configuration.
    """
    for name, method in METHODS.items():
        if type(config) is method.Config:
            return name
    raise AdapterError(
        f"{type(config).__name__} is not the configuration of a method: choose from {', '.join(METHODS)}"
    )
