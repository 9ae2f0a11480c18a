"""The parts of a network, as a tree."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal, NamedTuple

from mlx_whisper_lora.whisper.model.quantization import Quantization

Kind = Literal["network", "side", "input", "layer", "positions", "block", "sublayer", "attention", "output", "added"]


@dataclass(frozen=True)
class Flow:
    """The shape of what flows out of a part, for one window of 30 s."""

    symbols: tuple[str, ...]
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        return f"{format_shape(self.symbols)} = {format_shape(self.sizes)}"


@dataclass(frozen=True)
class Weight:
    """An array of weights."""

    name: str  # below its part
    shape: tuple[int, ...]  # of a quantized one: that of the plain one
    dtype: str  # such as "float32"
    method: str | None = None  # the method that trains it, or None if it is frozen
    is_added: bool = False  # whether an adapter brought it
    quantization: Quantization | None = None

    @property
    def size(self) -> int:
        """Return the number of weights. A quantized one counts as one."""
        return math.prod(self.shape)

    @property
    def stored(self) -> str:
        """Return the type that the weights are stored in."""
        return describe_bits(self.quantization) if self.quantization else self.dtype


@dataclass(frozen=True)
class Part:
    """A part of the network: a layer, or parts that belong together.

    Two parts are equal if they are in all but their names.
    """

    kind: Kind
    title: str  # for people
    name: str = field(compare=False)  # below the part that it is in. "" if the model has no module of its own for it.
    output: Flow | None = None  # what flows out
    weights: tuple[Weight, ...] = ()
    parts: tuple["Part", ...] = ()  # in the order in which data flow through them
    note: str = ""
    times: int = 1  # blocks that it stands for

    @property
    def parameters(self) -> int:
        """Return the number of its weights, and of those of its parts, in one of the blocks that it stands for."""
        return sum(each.size for each in self.weights) + sum(each.times * each.parameters for each in self.parts)

    @property
    def trained(self) -> Counter[str]:
        """Return how many of these weights each method trains."""
        counts: Counter[str] = Counter()
        for weight in self.weights:
            if weight.method:
                counts[weight.method] += weight.size
        for part in self.parts:
            for method, count in part.trained.items():
                counts[method] += part.times * count
        return counts

    @property
    def quantizations(self) -> set[Quantization]:
        """Return the ways in which weights of the part are quantized."""
        own = {each.quantization for each in self.weights if each.quantization}
        return own.union(*(each.quantizations for each in self.parts))


class Place(NamedTuple):
    """A part at its place in a network."""

    path: str  # as in the model, such as encoder.blocks.3.attn.query
    part: Part
    times: int  # how often the network has it


def places(part: Part, path: str = "", times: int = 1) -> Iterator[Place]:
    """Yield a part and all parts in it, at their places. Parts without a name have the path of what they are in."""
    path, times = join(path, part.name), times * part.times
    yield Place(path, part, times)
    for each in part.parts:
        yield from places(each, path, times)


def join(path: str, name: str) -> str:
    """Return the path of a part that is in another one."""
    return ".".join(filter(None, (path, name)))


def collapse(part: Part) -> Part:
    """Return a part in which neighboring parts that are equal are one, such as "blocks.2-5"."""
    return replace(part, parts=tuple(_as_one([*group]) for _, group in groupby(map(collapse, part.parts))))


def _as_one(equal: list[Part]) -> Part:
    first, last = equal[0], equal[-1]
    if first is last:
        return first
    return replace(first, name=f"{first.name}-{last.name.rpartition('.')[2]}", times=len(equal))


def describe_bits(quantization: Quantization) -> str:
    """Return the way that weights are quantized, as text."""
    return f"{quantization.bits} bits in groups of {quantization.group_size}"


def format_shape(numbers: tuple[int, ...] | tuple[str, ...]) -> str:
    """Return a shape as text, such as "512 × 80". That of a single number is "1"."""
    return " × ".join(map(str, numbers)) or "1"
