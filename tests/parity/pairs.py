"""Models on both sides, and the audio that they transcribe."""

import functools
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
import whisper

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.load import load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tools.references.seeded import VARIANTS, chirps, seeded_parameters
from tools.references.theirs import demo_whisper, seeded_whisper, whisper_with

DEMO = "demo"
MODELS = (*VARIANTS, DEMO)  # small and seeded, and the bundled one, which has learned something
SHALLOW = {"tiny": 2, "base": 2, "large-v3": 1}  # layers on each side; all else is as published


@dataclass(frozen=True)
class Pair:
    """One model in both implementations."""

    ours: Whisper
    theirs: whisper.Whisper


@functools.cache
def pair(name: str) -> Pair:
    """Return one of MODELS on both sides."""
    return paired(demo_whisper() if name == DEMO else seeded_whisper(name))


def shallow_pair(size: str) -> Pair:
    """Return a seeded model of a published size with fewer layers; `size` is a key of SHALLOW."""
    dims = replace(DIMENSIONS[size], n_audio_layer=SHALLOW[size], n_text_layer=SHALLOW[size]).to_dict()
    return paired(whisper_with(dims, seeded_parameters(dims, seed=7)))


def paired(theirs: whisper.Whisper) -> Pair:
    """Pair openai-whisper's model with the port's, which is read from a checkpoint in OpenAI's format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        torch.save({"dims": asdict(theirs.dims), "model_state_dict": theirs.state_dict()}, path)
        return Pair(load_model(path, mx.float32), theirs)


@functools.cache
def recording() -> np.ndarray:
    """Return the bundled two minutes of speech: 16 kHz samples."""
    return load_audio(DEMO_RECORDING / "recording.opus")


@functools.cache
def windows(name: str) -> list[np.ndarray]:
    """Return windows of 30 s for a model: for the bundled one, two clips in silence and two of continuous speech."""
    if name != DEMO:
        return [chirps(30, seed=seed) for seed in range(3)]
    clips = load_clips(DEMO_CLIPS)["test"][:2]
    spoken = [load_audio(clip.audio, start=clip.start, end=clip.end) for clip in clips]
    return [pad_or_trim(samples) for samples in (*spoken, recording(), recording()[N_SAMPLES:])]


@functools.cache
def features(name: str) -> tuple[mx.array, torch.Tensor]:
    """Encode those windows with each side's own front end and encoder: (B, 1500, D) twice."""
    return encoded(pair(name), windows(name))


@torch.no_grad()
def encoded(models: Pair, recordings: list[np.ndarray]) -> tuple[mx.array, torch.Tensor]:
    """Encode recordings of 30 s on both sides."""
    n_mels = models.ours.dims.n_mels
    ours = models.ours.encoder(mx.stack([log_mel_spectrogram(audio, n_mels) for audio in recordings]))
    mx.eval(ours)
    mels = torch.stack([whisper.log_mel_spectrogram(audio, n_mels) for audio in recordings])
    return ours, models.theirs.encoder(mels)
