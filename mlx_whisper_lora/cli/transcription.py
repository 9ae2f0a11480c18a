"""Transcribing with a model that is given by name, and printing the transcript as it is made."""

from collections.abc import Iterable
from os import PathLike

import mlx.core as mx
from tqdm import tqdm

from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from mlx_whisper_lora.adapters.loading import ModelCache, default_model
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.audio.log_mel import Audio
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.terminal import say
from mlx_whisper_lora.whisper.text.languages import LANGUAGES
from mlx_whisper_lora.whisper.transcription.long_form import Transcription
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.writers import format_timestamp

_BAR_FORMAT = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"

MODELS = ModelCache()


def transcribe(
    audio: Audio,
    *,
    path_or_hf_repo: str | PathLike | None = None,
    adapter_file: str | PathLike | None = None,
    fp16: bool | None = None,
    verbose: bool | None = None,
    **options,
) -> dict:
    """Transcribe a recording with a model, and with an adapter if one is given.

    The model stays in memory until another one is asked for, or its files change.

    Args:
        audio: an audio file (a path, bytes or a binary stream), or 16 kHz samples of shape (n_samples,):
            floats in [-1, 1], int16, int32, int8 or uint8.
        path_or_hf_repo: any name of a model that `load_model` knows. By default the base of the adapter, or else
            "base".
        adapter_file: an adapter that was trained on this model.
        fp16: compute in float16 if True, in float32 if False. By default in float16 on a GPU and in float32 on a CPU.
        verbose: print each segment as it is found if True, show a progress bar if False, print nothing if None.
        options: fields of TranscriptionOptions. Language and task default to those of the adapter.

    Returns:
        The result of `whisper.transcription.long_form.transcribe`.

    Raises:
        CheckpointError: the model cannot be loaded.
        AdapterError: the adapter cannot be read, or belongs to another base.
        AudioError: the recording cannot be read.
        ValueError: options exclude each other, or the model cannot follow them.
    """
    adapter = read_adapter_config(adapter_file) if adapter_file is not None else None
    if adapter:
        trained_for = {"language": adapter.language, "task": adapter.task}
        options |= {name: value for name, value in trained_for.items() if options.get(name) is None}
    transcription_options = TranscriptionOptions(**options)
    model = MODELS.load(path_or_hf_repo or default_model(adapter), adapter_file, compute_dtype(fp16))
    return transcribe_live(model, audio, transcription_options, verbose)


def transcribe_live(model: Whisper, audio: Audio, options: TranscriptionOptions, verbose: bool | None) -> dict:
    """Transcribe a recording, and print segments or a progress bar as `transcribe` does."""
    transcription = Transcription(model, audio, options)
    if transcription.detects_language and verbose:
        print("Detecting the language in the first 30 seconds; giving the language skips this.")
    if transcription.detects_language and verbose is not None:
        print(f"Detected language: {LANGUAGES[transcription.language].title()}")
    segments: list[Segment] = []
    seconds = transcription.n_frames / FRAMES_PER_SECOND
    with tqdm(total=seconds, bar_format=_BAR_FORMAT, disable=verbose is not False) as bar:
        for step in transcription.steps():
            if verbose:
                _print_segments(step.segments)
            segments += step.segments
            bar.update(step.n_frames / FRAMES_PER_SECOND)
    return transcription.result(segments)


def _print_segments(segments: Iterable[Segment]) -> None:
    """Print [00:00.000 --> 00:04.200] text."""
    for segment in segments:
        if segment.text:
            say(f"[{format_timestamp(segment.start)} --> {format_timestamp(segment.end)}] {segment.text}")


def compute_dtype(fp16: bool | None) -> mx.Dtype | None:
    """Return the type to load a model in. None lets `load_model` choose."""
    return None if fp16 is None else mx.float16 if fp16 else mx.float32
