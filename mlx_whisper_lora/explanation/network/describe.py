"""Describe a loaded model as a tree of parts.

The tree is that of the plain model. An adapter puts modules at paths of it (`adapters/inject.py`): a module that stands
for a layer or a side holds the plain one. Its other arrays are listed with the layer, or as parts of the side. So a
method needs no line here. Each array of the model is in one part, and the counts add up to those of the model.
"""

from dataclasses import replace
from typing import Any

import mlx.nn as nn
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import adapter_modules
from mlx_whisper_lora.adapters.new_language import NewLanguageEmbedding
from mlx_whisper_lora.explanation.network.part import Flow, Part, Weight
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.model.quantization import Quantization, weight_shape
from mlx_whisper_lora.whisper.model.whisper import (
    AudioEncoder,
    MultiHeadAttention,
    ResidualAttentionBlock,
    TextDecoder,
    Whisper,
)

_LAYERS = (nn.Linear, nn.QuantizedLinear, nn.Embedding, nn.QuantizedEmbedding, nn.LayerNorm, nn.Conv1d)
_OF_LAYER = ("weight", "bias")
_POSITIONS = "positional_embedding"


def describe(model: Whisper) -> Part:
    """Describe a model, with its adapter if it has one.

    Args:
        model: the model. Its arrays are not computed.

    Returns:
        The network: encoder and decoder, and what else is in the model. Only weights of an adapter count as trained:
        a plain model has none.
    """
    return _Description(model).network()


class _Description:
    """The description of a model, while it is made."""

    def __init__(self, model: Whisper):
        self.model, self.dims = model, model.dims
        self._method = {
            id(array): _method_name(module)
            for module in adapter_modules(model).values()
            for _, array in tree_flatten(module.trainable_parameters())
        }
        self._taken: set[int] = set()  # arrays that are in a part

    def network(self) -> Part:
        """Describe the model."""
        sides = self.encoder(self.model.encoder), self.decoder(self.model.decoder)
        return Part("network", "Whisper", "", parts=(*sides, *self.added(self.model)))

    def encoder(self, module: nn.Module) -> Part:
        """Describe the encoder, or what stands for it."""
        plain, dims = _held(module, AudioEncoder), self.dims
        frames, width = dims.n_audio_ctx * FRAMES_PER_POSITION, dims.n_audio_state
        states = Flow(("P", "D"), (dims.n_audio_ctx, width))
        mel = Part("input", "log-mel", "log_mel", Flow(("F", "M"), (frames, dims.n_mels)))
        first = self.layer("conv1", "convolution", plain.conv1, Flow(("F", "D"), (frames, width)), "kernel 3, GELU")
        second = self.layer("conv2", "convolution", plain.conv2, states, "kernel 3, stride 2, GELU")
        positions = self.positions(plain, states, "learned" if _POSITIONS in plain else "sinusoids, not a parameter")
        upper = _with_prompt(states, plain)
        blocks = [self.block(f"blocks.{i}", each, upper) for i, each in enumerate(plain.blocks)]
        norm = self.layer("ln_post", "layer norm", plain.ln_post, states)
        added = self.added(module)
        of_mel = [each for each in added if each.weights[0].shape[-1:] == (dims.n_mels,)]  # a number for each mel band
        of_states = [each for each in added if each not in of_mel]
        parts = (mel, *of_mel, first, second, positions, *of_states, *blocks, norm)
        return Part("side", "encoder", "encoder", states, parts=parts)

    def decoder(self, module: nn.Module) -> Part:
        """Describe the decoder, or what stands for it."""
        plain, dims = _held(module, TextDecoder), self.dims
        length, width = dims.n_text_ctx, dims.n_text_state
        n_vocab = self.model.vocabulary.size if self.model.knows_tokens else dims.n_vocab
        states, features = Flow(("T", "D"), (length, width)), Flow(("P", "D"), (dims.n_audio_ctx, width))
        tokens = Part("input", "tokens", "tokens", Flow(("T",), (length,)))
        embedding = self.layer("token_embedding", "token embedding", plain.token_embedding, states)
        positions = self.positions(plain, states, "learned")
        upper = _with_prompt(states, plain)
        blocks = [self.block(f"blocks.{i}", each, upper, features) for i, each in enumerate(plain.blocks)]
        norm = self.layer("ln", "layer norm", plain.ln, states)
        logits = Flow(("T", "V"), (length, n_vocab))
        output = Part("output", "logits", "logits", logits, note="products with the token embedding")
        parts = (tokens, embedding, positions, *self.added(module), *blocks, norm, output)
        return Part("side", "decoder", "decoder", logits, parts=parts)

    def block(self, name: str, module: nn.Module, states: Flow, features: Flow | None = None) -> Part:
        """Describe a block. Those of the decoder attend to features too."""
        plain = _held(module, ResidualAttentionBlock)
        parts = [self.sublayer("attn", "self-attention", plain, states, states)]
        if features:
            parts.append(self.sublayer("cross_attn", "cross-attention", plain, states, features))
        (length, width), (count, _) = states.symbols, states.sizes
        hidden = Flow((length, f"4{width}"), (count, 4 * states.sizes[1]))
        mlp = (
            self.layer("mlp_ln", "layer norm", plain.mlp_ln, states),
            self.layer("mlp1", "mlp1", plain.mlp1, hidden, "GELU"),
            self.layer("mlp2", "mlp2", plain.mlp2, states),
        )
        parts.append(Part("sublayer", "MLP", "", states, parts=mlp))
        return Part("block", "block", name, states, parts=(*parts, *self.added(module)))

    def sublayer(self, name: str, title: str, block: nn.Module, states: Flow, source: Flow) -> Part:
        """Describe attention from states to a source, with the layer norm before it."""
        norm = self.layer(f"{name}_ln", "layer norm", block[f"{name}_ln"], states)
        module = block[name]
        plain = _held(module, MultiHeadAttention)
        flows = {"query": states, "key": source, "value": source, "out": states}
        layers = [self.layer(each, each, plain[each], flow) for each, flow in flows.items()]
        parts = (*layers, *self.added(module))
        attention = Part("attention", title, name, states, parts=parts, note=f"{plain.n_head} heads")
        return Part("sublayer", title, "", states, parts=(norm, attention))

    def layer(self, name: str, title: str, module: nn.Module, output: Flow, note: str = "") -> Part:
        """Describe a layer, or what stands for it."""
        plain = self.weights(_held(module, _LAYERS))
        rest = self.weights(module)
        # DoRA holds the bias of the layer beside it.
        plain += [each for each in rest if each.method is None and each.name in _OF_LAYER]
        added = [_as_added(each) for each in rest if each not in plain]
        return Part("layer", title, name, output, (*plain, *added), note=note)

    def positions(self, side: nn.Module, output: Flow, note: str) -> Part:
        """Describe the positions of a side, which are weights or not."""
        return Part("positions", "positions", _POSITIONS, output, tuple(self.weights(side, _POSITIONS)), note=note)

    def added(self, module: nn.Module) -> list[Part]:
        """Describe what is in a module, and not in a part of it, by name: an adapter has put it there."""
        weights: dict[str, list[Weight]] = {}
        for each in self.weights(module):
            weights.setdefault(each.name.partition(".")[0], []).append(_as_added(each))
        return [Part("added", name, name, weights=tuple(each)) for name, each in weights.items()]

    def weights(self, module: nn.Module, only: str = "") -> list[Weight]:
        """Return the weights in a module, or the one that is named, unless they are in a part already."""
        found = []
        holders = dict(module.named_modules())
        for name, array in tree_flatten(module.parameters()):
            path, _, last = name.rpartition(".")
            holder = holders.get(path, {})
            is_packed = "scales" in holder and last == "weight"
            of_packing = "scales" in holder and last in ("scales", "biases")
            if id(array) in self._taken or of_packing or not name.startswith(only):
                continue
            self._taken.add(id(array))
            shape = weight_shape(holder) if is_packed else array.shape
            quantization = Quantization(holder.group_size, holder.bits) if is_packed else None
            dtype = str(array.dtype).rpartition(".")[2]
            method = self._method.get(id(array))
            found.append(Weight(name, tuple(shape), dtype, method, quantization=quantization))
        return found


def _held(module: nn.Module, kinds: type | tuple[type, ...]) -> Any:
    """Return the plain module that another one stands for. It is the frozen one, if there are several of its kind."""
    if isinstance(module, kinds):
        return module
    found: list[Any] = [each for _, each in module.named_modules() if isinstance(each, kinds)]
    return min(found, key=lambda each: bool(tree_flatten(each.trainable_parameters())), default=module)


def _with_prompt(states: Flow, side: nn.Module) -> Flow:
    """Return the shape of the states in the blocks of a side. The vectors of a prompt come before them."""
    if "prompt" not in side:
        return states
    (length, width), (count, size) = states.symbols, states.sizes
    return Flow((f"(N + {length})", width), (len(side.prompt) + count, size))


def _as_added(weight: Weight) -> Weight:
    return replace(weight, is_added=True)


def _method_name(module: nn.Module) -> str:
    """Return the name of the method of a trained module. The token of a new language comes beside any method."""
    return f"language {module.code}" if isinstance(module, NewLanguageEmbedding) else module.adapter_method
