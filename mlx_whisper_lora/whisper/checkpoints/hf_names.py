"""Convert weights between our names and layout and those of transformers (`WhisperForConditionalGeneration`)."""

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.layout import ENCODER_POSITIONS, swap_kernel
from mlx_whisper_lora.whisper.model.whisper import Whisper

# Parts of dotted names: ours and those of transformers, in which both final layer norms have one name.
_HF_NAME_PARTS = {
    "blocks": "layers",
    "attn": "self_attn",
    "attn_ln": "self_attn_layer_norm",
    "cross_attn": "encoder_attn",
    "cross_attn_ln": "encoder_attn_layer_norm",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "out_proj",
    "mlp1": "fc1",
    "mlp2": "fc2",
    "mlp_ln": "final_layer_norm",
    "token_embedding": "embed_tokens",
    "positional_embedding": "embed_positions.weight",
    "ln_post": "layer_norm",
    "ln": "layer_norm",
}
_OUR_NAME_PARTS = {theirs: ours for ours, theirs in _HF_NAME_PARTS.items()}


def to_hf(name: str) -> str:
    """Return the name in transformers: decoder.ln.bias -> model.decoder.layer_norm.bias."""
    return "model." + ".".join(_HF_NAME_PARTS.get(part, part) for part in name.split("."))


def from_hf(name: str) -> str:
    """Return our name of a weight of transformers. Other names are returned unchanged."""
    name = name.removeprefix("model.").replace("embed_positions.weight", "positional_embedding")
    name = ".".join(_OUR_NAME_PARTS.get(part, part) for part in name.split("."))
    return name.replace("encoder.ln.", "encoder.ln_post.")


def hf_weights(model: Whisper) -> dict[str, mx.array]:
    """Return the weights of a plain model by the names and in the layout of transformers.

    The output layer is the token embedding, so it is not among them.
    """
    positions = {ENCODER_POSITIONS: model.encoder.positions.astype(model.dtype)}
    ours = dict(tree_flatten(model.parameters())) | positions
    return {to_hf(name): swap_kernel(name, array) for name, array in ours.items()}
