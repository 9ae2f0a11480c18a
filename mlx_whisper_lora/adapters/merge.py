"""Merge LoRA adapters of one base into one adapter.

The update of each layer becomes the weighted sum of the adapters' updates: w1 * scale1 * B1 A1 + w2 * scale2 * B2 A2.
The matrices are put side by side, as by PEFT's `add_weighted_adapter(combination_type="cat")`: the result is exact, and
its rank is the sum of the ranks.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.lora import TARGETS, LoRAConfig
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import original_repository
from mlx_whisper_lora.whisper.option import OptionError


def merge_adapters(adapters: Sequence[Adapter], weights: Sequence[float], path: Path) -> Adapter:
    """Merge adapters.

    Args:
        adapters: LoRA adapters of one base. Each may have its own layers, rank and scale.
        weights: the factor of the update of each adapter.
        path: the file that the result is for.

    Returns:
        An adapter whose layers may lack arrays. Its language, and its audio context, are those of the adapters if they
        all have the same, or else none and 30 s.

    Raises:
        AdapterError: an adapter is not LoRA or has a new language, or the bases or tasks differ.
    """
    first = next((each for each in adapters if each.config.base.fingerprint), adapters[0])
    for each in adapters:
        _check_fits(each, first)
    rank = sum(each.config.settings.rank for each in adapters)
    config = _merged_config([each.config for each in adapters], rank)
    layers = dict.fromkeys(name.rsplit(".", 1)[0] for each in adapters for name in each.arrays)
    arrays = {name: np.zeros(_merged_shape(name, adapters, rank), np.float32) for name in _array_names(layers)}
    start = 0
    for adapter, weight in zip(adapters, weights, strict=True):
        settings = adapter.config.settings
        end = start + settings.rank
        for name, array in adapter.arrays.items():
            if name.endswith("lora_a"):
                arrays[name][:, start:end] = array
            else:
                arrays[name][start:end] = array * np.float32(weight * settings.factor)
        start = end
    return Adapter(path, config, arrays, is_partial=True)


def _array_names(layers: dict[str, None]) -> list[str]:
    return [f"{layer}.{part}" for layer in layers for part in ("lora_a", "lora_b")]


def _merged_shape(name: str, adapters: Sequence[Adapter], rank: int) -> tuple[int, int]:
    """Return the shape of a merged matrix. Raise AdapterError unless that of each adapter has its other dimension."""
    axis = 0 if name.endswith("lora_a") else 1
    sizes = {each.arrays[name].shape[axis]: each for each in adapters if name in each.arrays}
    if len(sizes) > 1:
        one, other = (f"{each.path} ({size})" for size, each in list(sizes.items())[:2])
        raise AdapterError(f"{one} and {other} belong to bases of different sizes, as {name} shows")
    size = next(iter(sizes))
    return (size, rank) if axis == 0 else (rank, size)


def _check_fits(adapter: Adapter, first: Adapter) -> None:
    """Raise AdapterError unless an adapter can be merged with the first one whose base is known."""
    config, other = adapter.config, first.config
    check_transcribes(adapter.path, config.classifier)
    if config.method != "lora":
        raise AdapterError(f"{adapter.path}: its method is {config.method}, and LoRA alone can be merged")
    if config.new_language:
        raise AdapterError(
            f"{adapter.path}: its new language {config.new_language.code} has a token of its own: it cannot be merged"
        )
    if config.task != other.task:
        raise AdapterError(f"{adapter.path}: its task is {config.task}, and that of {first.path} is {other.task}")
    prints = {config.base.fingerprint, other.base.fingerprint}
    names = {original_repository(base.repository) for base in (config.base, other.base) if base.repository}
    if len(names if None in prints else prints) > 1:
        raise AdapterError(
            f"{adapter.path}: this adapter was trained on {config.base.describe()}, and {first.path} on "
            f"{other.base.describe()}: only adapters of one base can be merged"
        )


def _merged_config(configs: Sequence[AdapterConfig], rank: int) -> AdapterConfig:
    """Return the configuration of merged adapters, whose settings name all of their layers, and perhaps more."""
    languages = {each.language for each in configs}
    contexts = {each.audio_context for each in configs}
    known = next((each.base for each in configs if each.base.fingerprint), configs[0].base)
    sides = {side: _most_blocks([each.settings for each in configs], side) for side in ("encoder", "decoder")}
    targets = {target for each in configs for target in each.settings.targets}
    try:
        settings = LoRAConfig(
            rank=rank,
            scale=1.0,
            targets=tuple(target for target in TARGETS if target in targets),
            encoder_layers=sides["encoder"],
            decoder_layers=sides["decoder"],
        )
    except OptionError as error:
        raise AdapterError(f"the merged adapter would be too large: {error}") from None
    return AdapterConfig(
        settings=settings,
        language=languages.pop() if len(languages) == 1 else None,
        task=configs[0].task,
        audio_context=contexts.pop() if len(contexts) == 1 else float(CHUNK_LENGTH),
        base=known,
        run=secrets.token_hex(8),
        clips=frozenset().union(*(each.clips for each in configs)),
    )


def _most_blocks(settings: Sequence[LoRAConfig], side: str) -> int:
    """Return how many blocks at the end of a side the adapters cover: 0 for none, -1 for all."""
    counts = [each.layers if (given := getattr(each, f"{side}_layers")) is None else given for each in settings]
    return -1 if -1 in counts else max(counts)
