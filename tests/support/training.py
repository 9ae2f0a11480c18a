"""What training needs besides a model and examples."""

from mlx_whisper_lora.training.encoder_cache import EncoderCache, frozen_blocks
from mlx_whisper_lora.whisper.model.whisper import Whisper


def training_hooks(model: Whisper, limit: float = 0) -> tuple:
    """Return what makes a batch and what computes its loss, as a run has them, with a cache of `limit` bytes."""
    cache = EncoderCache(model, frozen_blocks(model.encoder), limit)
    return cache.collate, cache.loss
