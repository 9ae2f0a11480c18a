"""Whisper on MLX."""
