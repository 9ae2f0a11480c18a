"""Errors that `datasets`, pyarrow and the Hub's client raise while they read a data set."""

import datasets
from huggingface_hub.errors import HTTPError  # of the HTTP library beneath, which differs between versions

from mlx_whisper_lora.whisper.errors import one_line

READ_ERRORS = (OSError, ValueError, RuntimeError, HTTPError, datasets.exceptions.DatasetsError)


def reason_of(error: BaseException) -> str:
    """Return why a data set cannot be read, as one line. `datasets` wraps the error that says it."""
    while isinstance(error, datasets.exceptions.DatasetGenerationError) and error.__cause__:
        error = error.__cause__
    return one_line(error) if isinstance(error, Exception) else str(error)
