"""`whisper.tokenizer` and `mlx_whisper.tokenizer`."""

from mlx_whisper_lora.whisper.text.languages import LANGUAGES, TO_LANGUAGE_CODE
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer, get_encoding, get_tokenizer

__all__ = ["LANGUAGES", "TO_LANGUAGE_CODE", "Tokenizer", "get_encoding", "get_tokenizer"]
