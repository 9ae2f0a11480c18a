"""The good files that the inputs are made of."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_model_bin
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from tools.references.seeded import chirps

ROOT = Path(__file__).parents[2]
SECONDS = 0.3  # of each recording
# Small, so that structure is much of its files; quantized in groups of 32, which its width has to be a multiple of.
DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=32,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=64,
    n_text_ctx=64,
    n_text_state=32,
    n_text_head=2,
    n_text_layer=1,
)
ENCODINGS = {  # of audio, by the file format
    "WAV": ("PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"),
    "RF64": ("PCM_16",),
    "W64": ("PCM_16",),
    "AIFF": ("PCM_16",),
    "AU": ("PCM_16",),
    "CAF": ("PCM_16",),
    "NIST": ("PCM_16",),
    "FLAC": ("PCM_16",),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
CHECKPOINTS = ROOT / "tests" / "whisper" / "reference" / "checkpoints"  # by torch and transformers


def seeded_model() -> Whisper:
    """Return the model that most files hold."""
    mx.random.seed(0)
    model = Whisper(DIMENSIONS)
    model.alignment_heads = ((0, 0), (0, 1))
    return model


def write_adapter(path: Path, model: Whisper) -> None:
    """Put a fresh adapter into a model, and save it."""
    config = AdapterConfig(LoRAConfig(layers=1), "en", "transcribe", 30.0, Base.of(model, "base"))
    add_adapter(model, config.settings)
    save_adapter(path, model, config)


def write_good_files(folder: Path) -> None:
    """Write recordings, an adapter and models, each model into a folder of its own.

    The adapter's base is the model "mlx".
    """
    for name in ("audio", "adapter", "npz", "pt", "ct2"):
        (folder / name).mkdir(parents=True)
    stereo = np.stack([chirps(SECONDS, seed=0), chirps(SECONDS, seed=1)], axis=1)
    for container, encodings in ENCODINGS.items():
        for encoding in encodings:
            path = folder / "audio" / f"{encoding.lower()}.{container.lower()}"
            soundfile.write(path, stereo, SAMPLE_RATE, format=container, subtype=encoding)

    model = seeded_model()
    save_model(model, folder / "mlx")
    shutil.copy(folder / "mlx" / "config.json", folder / "npz")
    mx.savez(str(folder / "npz" / "weights.npz"), **mx.load(str(folder / "mlx" / "weights.safetensors")))
    (folder / "ct2" / "config.json").write_text(json.dumps({"alignment_heads": model.alignment_heads}))
    with (folder / "ct2" / "model.bin").open("wb") as file:
        write_model_bin(file, model, int8=True)
    write_adapter(folder / "adapter" / "adapter.npz", model)

    quantized = Whisper(DIMENSIONS)
    quantize(quantized, Quantization(32, 4))
    save_model(quantized, folder / "quantized")
    for name in ("float32.pt", "parameters.pt"):
        shutil.copy(CHECKPOINTS / name, folder / "pt")
    for source in CHECKPOINTS.glob("transformers*"):
        shutil.copytree(source, folder / source.name)
    shutil.copytree(DEMO_MODEL, folder / "demo")


def loader_of(path: Path) -> str:
    """Return the loader of a good file."""
    return path.parent.name if path.parent.name in ("audio", "adapter") else "model"


def arguments_of(path: Path, base: Path) -> list[str]:
    """Return the arguments of that loader."""
    match path.parent.name:
        case "audio" | "pt":
            return [str(path)]
        case "adapter":
            return [str(base), str(path)]
        case _:
            return [str(path.parent)]
