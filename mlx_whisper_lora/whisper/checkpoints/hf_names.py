"""The names of a model's weights in transformers (`WhisperForConditionalGeneration`), and its layout of arrays."""

from collections.abc import Mapping

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.layout import swap_kernel
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper, sinusoids

# Parts of dotted names, ours and transformers'. Its two final layer norms share one name.
HF_NAME_PARTS = {
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
OUR_PARTS = {theirs: ours for ours, theirs in HF_NAME_PARTS.items()}


def to_hf(name: str) -> str:
    """decoder.blocks.0.attn.query.weight -> model.decoder.layers.0.self_attn.q_proj.weight"""
    return "model." + ".".join(HF_NAME_PARTS.get(part, part) for part in name.split("."))


def from_hf(name: str) -> str:
    """The inverse of `to_hf`; parts that transformers' Whisper does not have stay as they are."""
    name = name.removeprefix("model.").replace("embed_positions.weight", "positional_embedding")
    name = ".".join(OUR_PARTS.get(part, part) for part in name.split("."))
    return name.replace("encoder.ln.", "encoder.ln_post.")


def hf_weights(model: Whisper) -> dict[str, mx.array]:
    """The weights of a plain model as transformers wants them; the output layer is the embedding and not stored."""
    positions = sinusoids(model.dims.n_audio_ctx, model.dims.n_audio_state).astype(model.dtype)
    ours = {**dict(tree_flatten(model.parameters())), "encoder.positional_embedding": positions}
    return {to_hf(name): swap_kernel(name, array) for name, array in ours.items()}


def from_hf_weights(weights: Mapping[str, mx.array], source: object) -> dict[str, mx.array]:
    """Transformers' weights by our names and in our layout. Raises CheckpointError, naming `source`, when the output
    layer is not the embedding, which Whisper ties together."""
    ours = {from_hf(name): array for name, array in weights.items()}
    output, embedding = ours.pop("proj_out.weight", None), ours.get("decoder.token_embedding.weight")
    if output is not None and embedding is not None and not mx.array_equal(output, embedding):
        raise CheckpointError(
            f"{source}: the output layer proj_out differs from the token embedding, as no Whisper's does"
        )
    return {name: swap_kernel(name, array) for name, array in ours.items()}
