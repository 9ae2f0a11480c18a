"""The error of audio that cannot be used."""


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and says what to do."""
