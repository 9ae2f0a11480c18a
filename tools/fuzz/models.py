"""Models with odd vocabularies, and weights that are not finite."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_model_bin
from mlx_whisper_lora.whisper.checkpoints.ggml import write_ggml
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import VOCABULARIES
from tools.fuzz.case import Case, Goods, nothing, unless, unless_refused, unless_refused_or
from tools.fuzz.good_files import DIMENSIONS, seeded_model, write_adapter

_ADDED = {"<|pad|>": "special", "<|xx|>": "a language", "hello": "a text"}
_TOLD_BY = ("generation_config.json", "added_tokens.json", "tokenizer.json")


def odd_vocabulary(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Write a folder of transformers with a vocabulary of Whisper's, rows behind it, and files that tell or lie."""
    vocabulary = VOCABULARIES[random.integers(len(VOCABULARIES))]
    n_mels = 128 if vocabulary == VOCABULARIES[-1] else 80
    extra = int(random.choice([0, 0, 1, 2, 7, 1000]))
    width = 8
    model = Whisper(
        replace(DIMENSIONS, n_mels=n_mels, n_vocab=vocabulary.size, n_audio_state=width, n_text_state=width)
    )
    save_hf_model(model, folder)
    tells = [name for name in _TOLD_BY if random.random() < 0.5]
    for path in folder.iterdir():
        if path.name not in (*tells, "config.json", "model.safetensors"):
            path.unlink()
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] += extra
    config_tells = random.random() < 0.5
    if not config_tells:
        config = {key: value for key, value in config.items() if not key.endswith(("_token_id", "_ids", "tokens"))}
    (folder / "config.json").write_text(json.dumps(config))
    _add_rows(folder / "model.safetensors", extra)

    lies = bool(tells) and random.random() < 0.4
    if lies:  # by three places: by one, they may be those of another vocabulary
        _shift(folder / tells[random.integers(len(tells))], int(random.choice([-3, 3])))
    unknown_meaning = False
    if extra and random.random() < 0.3:
        name = list(_ADDED)[random.integers(len(_ADDED))]
        path = folder / "added_tokens.json"
        tokens = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(tokens | {name: vocabulary.size}))
        tells.append(path.name)
        known = vocabulary.multilingual and _ADDED[name] == "a language"
        vocabulary = vocabulary.with_language(name[2:-2]) if known else vocabulary
        unknown_meaning = not known and _ADDED[name] != "special"

    facts = {"tokens": vocabulary.special_tokens()}
    if lies or unknown_meaning:
        wrong = unless_refused
    elif extra and not tells and not vocabulary.multilingual:
        wrong = nothing  # as large as a multilingual model, and config.json may hold defaults that do not tell
    elif extra == 0 or (set(tells) & {"generation_config.json", "tokenizer.json"} and vocabulary.multilingual):
        wrong = unless(facts)
    else:
        wrong = unless_refused_or(facts)
    return Case("odd vocabulary", "model", [str(folder)], str(folder), wrong)


def _add_rows(path: Path, count: int) -> None:
    weights = mx.load(str(path))
    name = "model.decoder.embed_tokens.weight"
    weights[name] = mx.concatenate([weights[name], mx.zeros((count, weights[name].shape[1]), weights[name].dtype)])
    mx.eval(weights)
    mx.save_safetensors(str(path), weights, {"format": "pt"})


def _shift(path: Path, by: int) -> None:
    """Move the numbers of all tokens that a file names."""

    def moved(value):
        if isinstance(value, dict):
            return {key: moved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [moved(each) for each in value]
        return value + by if isinstance(value, int) and not isinstance(value, bool) and value > 50_000 else value

    path.write_text(json.dumps(moved(json.loads(path.read_text()))))


def not_finite(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Write a model or an adapter with one number that is NaN or infinite."""
    number = float(random.choice([np.nan, np.inf, -np.inf]))
    layout = ("mlx", "npz", "hf", "quantized", "ct2", "ggml", "pt", "adapter")[random.integers(8)]
    model = seeded_model()
    loader, given = "model", [str(folder)]
    match layout:
        case "mlx" | "npz" | "quantized":
            if layout == "quantized":
                quantize(model, Quantization(32, 4))
            _spoil(model, number, random)
            save_model(model, folder)
            if layout == "npz":
                mx.savez(str(folder / "weights.npz"), **mx.load(str(folder / "weights.safetensors")))
                (folder / "weights.safetensors").unlink()
        case "hf" | "ct2" | "ggml":
            if layout != "ct2":  # their writers need a vocabulary of Whisper's
                model = Whisper(replace(DIMENSIONS, n_vocab=VOCABULARIES[1].size))
            _spoil(model, number, random)
            if layout == "hf":
                save_hf_model(model, folder)
            elif layout == "ggml":
                write_ggml(model, folder)
                given = [str(next(folder.glob("*.bin")))]
            else:
                (folder / "config.json").write_text("{}")
                with (folder / "model.bin").open("wb") as file:
                    write_model_bin(file, model, int8=False)
        case "pt":
            _spoil_pt(goods.folder / "pt" / "float32.pt", folder / "model.pt", number, random)
            given = [str(folder / "model.pt")]
        case "adapter":
            write_adapter(folder / "adapter.npz", model)
            _spoil_adapter(folder / "adapter.npz", number, random)
            loader, given = "adapter", [str(goods.folder / "mlx"), str(folder / "adapter.npz")]
    return Case(f"not finite: {layout}", loader, given, str(folder), unless_refused)


def _spoil(model: Whisper, number: float, random: np.random.Generator) -> None:
    """Put a number into one of the floating arrays of a model."""
    parameters = tree_flatten(model.parameters())
    arrays = [(name, array) for name, array in parameters if mx.issubdtype(array.dtype, mx.floating)]
    name, array = arrays[random.integers(len(arrays))]
    flat = np.array(array.astype(mx.float32)).reshape(-1)
    flat[random.integers(flat.size)] = number
    model.load_weights([(name, mx.array(flat.reshape(array.shape)).astype(array.dtype))], strict=False)


def _spoil_adapter(path: Path, number: float, random: np.random.Generator) -> None:
    """Put a number into one of the arrays of an adapter file, whose writer refuses such numbers."""
    with np.load(path) as file:
        arrays = dict(file)
    names = [name for name in arrays if "lora" in name]
    arrays[names[random.integers(len(names))]].reshape(-1)[0] = number
    np.savez(path, **arrays)


def _spoil_pt(good: Path, path: Path, number: float, random: np.random.Generator) -> None:
    """Copy a `.pt` file of float32, with another number at the start of one of its arrays."""
    with zipfile.ZipFile(good) as archive:
        names = [name for name in archive.namelist() if "/data/" in name]
        chosen = names[random.integers(len(names))]
        members = {name: archive.read(name) for name in archive.namelist()}
    members[chosen] = np.float32(number).tobytes() + members[chosen][4:]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
