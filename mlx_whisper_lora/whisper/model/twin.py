"""Copies of modules that share their arrays."""

import copy
from typing import Any

import mlx.nn as nn


def twin(node: Any) -> Any:
    """Return a copy of a module, or of a part of its tree, with the same arrays.

    What is replaced, frozen or removed in one of the two stays as it is in the other.
    """
    if isinstance(node, nn.Module):
        other = copy.copy(node)
        other._no_grad = set(node._no_grad)
        for key, value in node.items():
            dict.__setitem__(other, key, twin(value))
        return other
    if isinstance(node, dict):
        return {key: twin(value) for key, value in node.items()}
    return [twin(each) for each in node] if isinstance(node, list) else node
