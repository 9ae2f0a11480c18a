"""`mlx_whisper.writers`."""

from mlx_whisper_lora.whisper.transcription.writers import (
    ResultWriter,
    WriteJSON,
    WriteSRT,
    WriteTSV,
    WriteTXT,
    WriteVTT,
    format_timestamp,
    get_writer,
)

__all__ = [
    "ResultWriter",
    "WriteJSON",
    "WriteSRT",
    "WriteTSV",
    "WriteTXT",
    "WriteVTT",
    "format_timestamp",
    "get_writer",
]
