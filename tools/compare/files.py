"""The files that the rows need: recordings, and the bundled model in every format.

`make_files` runs in our Python, `make_pt` in openai-whisper's, so each imports its own packages.
"""

import json
import pickle
import shutil
import subprocess
import zipfile
from pathlib import Path

from tools.compare.peers import RECORDING

LIBSNDFILE = ("wav", "flac", "ogg", "opus", "mp3")
VIDEOS = ("m4a", "mp4", "webm")
SECONDS = 2.5


def make_files(files: Path) -> None:
    """Write the recordings, the models but OpenAI's, and an adapter.

    Args:
        files: an empty folder.
    """
    (files / "runs").mkdir()
    _write_recordings(files / "recordings")
    _write_models(files)
    _write_adapter(files / "adapter.npz")
    _write_malicious_pt(files / "malicious.pt", files / "marker")


def make_pt(files: Path) -> None:
    """Write the bundled model in the format that OpenAI publishes."""
    import torch

    from tools.references.theirs import demo_whisper

    model = demo_whisper()
    torch.save({"dims": vars(model.dims), "model_state_dict": model.state_dict()}, files / "demo.pt")


def _write_recordings(folder: Path) -> None:
    """Write 2.5 s of speech in every format, two copies, and a file that is not audio."""
    import soundfile

    from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
    from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
    from mlx_whisper_lora.whisper.audio.load import load_audio

    (folder / "folder").mkdir(parents=True)
    speech = load_audio(DEMO_RECORDING / "recording.opus")[: round(SECONDS * SAMPLE_RATE)]
    for suffix in LIBSNDFILE:
        form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
        soundfile.write(folder / f"talk.{suffix}", speech, SAMPLE_RATE, **form)
    for suffix in VIDEOS:
        picture = [] if suffix == "m4a" else ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=5:duration={SECONDS}"]
        command = ["ffmpeg", "-v", "error", "-i", folder / RECORDING, *picture, folder / f"talk.{suffix}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for copy in ("other.wav", "folder/talk.wav"):
        shutil.copy(folder / RECORDING, folder / copy)
    (folder / "noise.txt").write_text("not audio")


def _write_models(files: Path) -> None:
    """Write the bundled model in our formats and transformers', and as cached repositories."""
    from mlx_whisper_lora.whisper.assets import DEMO_MODEL
    from mlx_whisper_lora.whisper.checkpoints.load import load_model
    from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, export_model

    def write(name: str, **form) -> None:
        export_model(load_model(DEMO_MODEL), files / name, ExportOptions(**form))

    write("safetensors")
    write("float32", dtype="float32")
    write("4bit", quantize=True, q_bits=4)
    write("8bit", quantize=True, q_bits=8)
    write("hf", export="hf")
    shutil.copytree(DEMO_MODEL, files / "npz")
    _shard(files / "hf", files / "sharded")
    _cache(files / "npz", files / "hub" / "models--someone--whisper", "main")
    _cache(files / "npz", files / "hub" / "models--someone--tagged", "v1")


def _write_adapter(path: Path) -> None:
    """Write an adapter of random weights for the bundled model."""
    import mlx.core as mx
    from mlx.utils import tree_unflatten

    from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
    from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
    from mlx_whisper_lora.adapters.lora import LoRAConfig
    from mlx_whisper_lora.whisper.assets import DEMO_MODEL
    from mlx_whisper_lora.whisper.checkpoints.load import load_model

    model = load_model(DEMO_MODEL)
    base = Base.of(model, str(DEMO_MODEL))
    lora = LoRAConfig(layers=-1, targets=("attn.query", "attn.value"))
    add_adapter(model, lora)
    for module in adapter_modules(model).values():
        module.update(tree_unflatten([("lora_b", mx.random.normal(module.lora_b.shape) / 10)]))
    save_adapter(path, model, AdapterConfig(lora, "en", "transcribe", 0.0, base))


def _shard(folder: Path, sharded: Path) -> None:
    """Copy a folder of transformers, with its weights in two files and an index."""
    import mlx.core as mx

    shutil.copytree(folder, sharded)
    weights = mx.load(str(sharded / "model.safetensors"))
    names = sorted(weights)
    files = {}
    for i, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{i:05d}-of-00002.safetensors"
        mx.save_safetensors(str(sharded / file), {name: weights[name] for name in part}, metadata={"format": "pt"})
        files |= dict.fromkeys(part, file)
    (sharded / "model.safetensors").unlink()
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def _cache(model: Path, repository: Path, revision: str) -> None:
    """Copy a model to a repository in huggingface_hub's cache, which knows one revision alone."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(commit)


class _WritesMarker:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _write_malicious_pt(path: Path, marker: Path) -> None:
    contents = {"dims": _WritesMarker(marker), "model_state_dict": {}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(contents, protocol=2))
        archive.writestr("archive/version", "3\n")
