"""Put an adapter into a model, freeze the rest, and take it out again."""

from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.adapters.classifier import CLASSIFIER, Classifier, Head, make_head
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.adapters.new_language import NewLanguage, NewLanguageEmbedding, name_language
from mlx_whisper_lora.whisper.checkpoints.layout import TOKEN_EMBEDDING
from mlx_whisper_lora.whisper.model.quantization import parameter_count
from mlx_whisper_lora.whisper.model.whisper import Whisper


def add_adapter(model: Whisper, config: Any, new_language: NewLanguage | None = None) -> None:
    """Put a fresh adapter into a plain model, and freeze the rest.

    Args:
        model: a model without an adapter.
        config: the configuration of a method, such as LoRAConfig.
        new_language: a language whose token is trained too.

    Raises:
        AdapterError: the model has an adapter, or does not fit the configuration. The model is unchanged.
    """
    check_plain(model)
    put_adapter(model, method_name(config), build_modules(model, config, new_language))


def build_modules(
    model: Whisper, config: Any, new_language: NewLanguage | None, classifier: Classifier | None = None
) -> dict[str, nn.Module]:
    """Return the fresh modules of an adapter by path, as for `add_adapter`. The model stays unchanged.

    With a classifier, they have its head, and none that it does not need.
    """
    method = method_name(config)
    modules = METHODS[method].wrap(model, config)
    if classifier:
        if classifier.on_encoder and modules:
            modules = {path: each for path, each in modules.items() if not path.startswith("decoder")}
            if not modules:
                raise AdapterError(f"{method} trains the decoder alone, and the head {classifier.head} does without it")
        return modules | {CLASSIFIER: make_head(model, classifier)}
    if not modules:
        raise AdapterError(f"the settings of {method} choose no layer of this model: {config}")
    if new_language is None:
        return modules
    if any(name.startswith(f"{TOKEN_EMBEDDING}.") for name in trained_arrays(modules)):
        raise AdapterError(f"{method} trains all tokens, and a new language has one of its own: choose another method")
    return modules | {TOKEN_EMBEDDING: NewLanguageEmbedding.from_base(model, new_language)}


def put_adapter(model: Whisper, method: str, modules: dict[str, nn.Module]) -> None:
    """Put the modules of a method at their paths, and freeze the rest of the model."""
    model.freeze()
    for module in modules.values():
        module.adapter_method = method
        if isinstance(module, NewLanguageEmbedding):
            name_language(model, module.code)
    _replace_modules(model, modules)


def adapter_modules(model: Whisper) -> dict[str, nn.Module]:
    """Return the modules that `put_adapter` put into the model, by path."""
    return {path: module for path, module in model.named_modules() if hasattr(module, "adapter_method")}


def trained_arrays(modules: dict[str, nn.Module]) -> dict[str, mx.array]:
    """Return the trained arrays of the modules of an adapter, by path in the model."""
    return {
        f"{path}.{name}": array
        for path, module in modules.items()
        for name, array in tree_flatten(module.trainable_parameters())
    }


def check_plain(model: Whisper) -> None:
    """Raise AdapterError if the model has an adapter."""
    if adapter_modules(model):
        raise AdapterError("this model has an adapter already: load it again, or fuse the adapter into it first")


def fuse_adapter(model: Whisper) -> list[str]:
    """Replace the modules of an adapter by plain ones, in place.

    Returns:
        The paths of modules that cannot be merged into the model. They stay in it.
    """
    modules = adapter_modules(model)
    fused = {path: _fuse(module) for path, module in modules.items()}
    _replace_modules(model, {path: module for path, module in fused.items() if module is not None})
    left = [path for path, module in fused.items() if module is None]
    if modules and not left:
        model.unfreeze()
        model.set_dtype(model.dtype)  # trained numbers may have been longer
    if TOKEN_EMBEDDING in modules:
        model.dims = replace(model.dims, n_vocab=model.vocabulary.size)
    return left


def _fuse(module: nn.Module) -> nn.Module | None:
    if isinstance(module, NewLanguageEmbedding):
        return module.fuse()
    if isinstance(module, Head):
        return None
    fused = METHODS[module.adapter_method].fuse(module)
    if fused is not None and fused is module:
        del fused.adapter_method  # it is a plain one already
    return fused


def _replace_modules(model: Whisper, modules: dict[str, nn.Module]) -> None:
    for path, module in sorted(modules.items()):  # a side comes before a layer of it
        if path == CLASSIFIER:
            model.classifier = module
        else:
            model.update_modules(tree_unflatten([(path, module)]))
    model.train(model.training)  # new modules take the model's mode, so that dropout acts in training only


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters."""

    encoder: int  # trainable
    decoder: int  # trainable
    total: int  # trainable or not. A quantized weight counts as one parameter.
    head: int = 0  # trainable, of a classifier

    @property
    def trained(self) -> int:
        """The number of trainable parameters."""
        return self.encoder + self.decoder + self.head


def count_parameters(model: Whisper) -> ParameterCounts:
    """Count the trainable parameters on each side of a model and in its head, and all parameters."""
    encoder, decoder, head = (
        sum(array.size for _, array in tree_flatten(part.trainable_parameters())) if part else 0
        for part in (model.encoder, model.decoder, model.get(CLASSIFIER))
    )
    return ParameterCounts(encoder, decoder, parameter_count(model), head)
