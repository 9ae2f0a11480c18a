"""Whisper on MLX."""

from mlx_whisper_lora.whisper.cpu import use_fast_blas

use_fast_blas()
