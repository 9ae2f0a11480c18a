"""This package in the place of openai-whisper or mlx-whisper, as a program that imports these would meet it."""

import contextlib
import sys
from collections.abc import Iterator
from unittest.mock import patch

import mlx_whisper_lora


@contextlib.contextmanager
def standing_in_for(name: str) -> Iterator[None]:
    """Let `import name` and `import name.audio` find this package and its modules."""
    with patch.dict(sys.modules):
        for loaded in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[loaded]
        sys.modules[name] = mlx_whisper_lora
        yield
