"""Transcribing with a model that is given by name, or is loaded already."""

from dataclasses import fields
from os import PathLike

from mlx_whisper_lora.adapters.loading import ModelHolder
from mlx_whisper_lora.adapters.open import open_adapter_config
from mlx_whisper_lora.whisper.audio.log_mel import Audio
from mlx_whisper_lora.whisper.decoding.decode import compute_dtype
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, check_names
from mlx_whisper_lora.whisper.transcription import long_form
from mlx_whisper_lora.whisper.transcription.long_form import TRANSCRIBE_ARGUMENTS, OnProgress, OnSegment
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions

_ARGUMENTS = ("model", "audio", "path_or_hf_repo", "adapter_file", "adapter_strength", *TRANSCRIBE_ARGUMENTS)


def transcribe(
    model: Whisper | str | PathLike | Audio | None = None,
    audio: Audio | None = None,
    *,
    path_or_hf_repo: Whisper | str | PathLike | None = None,
    adapter_file: str | PathLike | None = None,
    adapter_strength: float = 1.0,
    verbose: bool | None = None,
    on_segment: OnSegment | None = None,
    on_progress: OnProgress | None = None,
    **options,
) -> dict:
    """Transcribe a recording with a model, and with an adapter if one is given.

    It is called like openai-whisper's function, `transcribe(model, audio)`, or like mlx-whisper's,
    `transcribe(audio, path_or_hf_repo=...)`. A model that is given by name stays in memory until another one is asked
    for, or its files change (`ModelHolder`).

    Args:
        model: a loaded model, or any name of one that `load_model` knows. By default the base of the adapter, or else
            "base". If `audio` is not given, this is the recording.
        audio: an audio file (a path, bytes or a binary stream), or 16 kHz samples of shape (n_samples,):
            floats in [-1, 1], int16, int32, int8 or uint8.
        path_or_hf_repo: the same as `model`.
        adapter_file: an adapter that was trained on this model, which is given by name.
        adapter_strength: the share of its change of the base, as for `load_fused`.
        verbose: print each segment as it is found if True, show a progress bar if False, print nothing if None.
        on_segment: called with each segment as it is found: a dict as in the result, without "id".
        on_progress: called after each window with the seconds of audio that are done, and those of the recording.
        options: fields of TranscriptionOptions. Language and task default to those of the adapter.

    Returns:
        The result of `whisper.transcription.long_form.transcribe`.

    Raises:
        CheckpointError: the model cannot be loaded.
        AdapterError: the adapter cannot be read, or belongs to another base.
        AudioError: the recording cannot be read.
        ValueError: options exclude each other, or the model cannot follow them.
    """
    check_names(options, (*_ARGUMENTS, *(each.name for each in fields(TranscriptionOptions))))
    if audio is None:
        model, audio = None, model
    if audio is None or isinstance(audio, Whisper):
        raise OptionError("give a recording: transcribe(model, audio), or transcribe(audio, path_or_hf_repo=...)")
    if model is not None and path_or_hf_repo is not None:
        raise OptionError("give `model` or `path_or_hf_repo`, not both")
    model = path_or_hf_repo if model is None else model
    if model is not None and not isinstance(model, (Whisper, str, PathLike)):
        raise OptionError(f"`model` must be a loaded model or the name of one, got a {type(model).__name__}")

    if adapter_file is not None and isinstance(model, Whisper):
        raise OptionError("`adapter_file` requires a model by its name: load_model(name, adapter_file=...) has both")
    if adapter_file is None and adapter_strength != 1:
        raise OptionError("`adapter_strength` requires `adapter_file`")
    adapter = open_adapter_config(adapter_file) if adapter_file is not None else None
    if adapter:
        trained_for = {"language": adapter.language, "task": adapter.task}
        options |= {name: value for name, value in trained_for.items() if options.get(name) is None}
    transcription_options = TranscriptionOptions(**options)
    if not isinstance(model, Whisper):
        dtype = compute_dtype(transcription_options.fp16)
        model = ModelHolder.get_model(model, dtype, adapter_file, adapter_strength)
    return long_form.transcribe(
        model, audio, transcription_options, verbose=verbose, on_segment=on_segment, on_progress=on_progress
    )
