"""The error of the adapters' room."""


class AdapterError(ValueError):
    """An adapter or an adapter file does not fit. The message names the file or the value, and what to do."""
