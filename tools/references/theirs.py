"""openai-whisper's side: its models with weights that the port has too, its loop with scripted windows, its files.

tools/references/make_whisper.py stores their answers. Nothing here needs MLX.
"""

import json
import sys
import tempfile
import zlib
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import whisper
from whisper.timing import WordTiming
from whisper.tokenizer import get_tokenizer
from whisper.utils import get_writer

from mlx_whisper_lora.whisper.checkpoints.layout import swap_kernel, to_openai
from tools.references.seeded import VARIANTS, scripted_times, scripted_window, seeded_parameters, small_dims

ASSETS = Path(__file__).parents[2] / "assets"


def whisper_with(dims: dict[str, int], parameters: dict[str, np.ndarray]) -> whisper.Whisper:
    """Return a model with `parameters`, which have openai-whisper's own names and layout."""
    model = whisper.Whisper(whisper.ModelDimensions(**dims))
    weights = {name: torch.from_numpy(array) for name, array in parameters.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) == {"encoder.positional_embedding"}  # fixed sinusoids
    return model.eval()


def seeded_whisper(variant: str) -> whisper.Whisper:
    settings = VARIANTS[variant]
    dims = small_dims(settings["n_vocab"], settings["n_mels"])
    return whisper_with(dims, seeded_parameters(dims, settings["seed"]))


def demo_whisper() -> whisper.Whisper:
    """Return the bundled model."""
    return folder_whisper(ASSETS / "demo_model")


def folder_whisper(folder: Path) -> whisper.Whisper:
    """Return the model of a folder with config.json and weights.npz, by our names and in MLX's layout."""
    dims = json.loads((folder / "config.json").read_text())
    dims.pop("model_type")
    weights = np.load(folder / "weights.npz").items()
    parameters = {to_openai(name): swap_kernel(name, array).astype(np.float32) for name, array in weights}
    return whisper_with(dims, parameters)


def base_whisper(folder: Path) -> whisper.Whisper:
    """Return whisper-base with the weights of such a folder, and the alignment heads that OpenAI published."""
    model = folder_whisper(folder)
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS["base"])
    return model


class ScriptedModel:
    """A script in place of a model; `prompts` are the checksums of the prompts that it was given."""

    dims = whisper.ModelDimensions(**small_dims(51865, 80))
    device, is_multilingual, num_languages = torch.device("cpu"), True, 99

    def __init__(self, seed: int):
        self.seed, self.prompts, self.alignments = seed, [], 0
        self.tokenizer = get_tokenizer(True)

    def decode(self, mel: torch.Tensor, options: whisper.DecodingOptions) -> whisper.DecodingResult:
        window = scripted_window(self.seed, len(self.prompts))
        self.prompts.append(zlib.crc32(json.dumps(options.prompt).encode()))
        tokens = []
        for piece in window.pop("pieces"):
            if isinstance(piece, str):
                tokens += self.tokenizer.encode(piece)
            else:
                tokens.append(self.tokenizer.timestamp_begin + round(piece / 0.02))
        return whisper.DecodingResult(mel, "en", tokens=tokens, temperature=options.temperature, **window)

    def align(self, model, tokenizer, text_tokens: list[int], mel: torch.Tensor, num_frames: int) -> list[WordTiming]:
        words, word_tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
        times = scripted_times(self.seed, self.alignments, len(words) - 1, num_frames)
        self.alignments += 1
        return [WordTiming(*word) for word in zip(words[:-1], word_tokens[:-1], *zip(*times, strict=True), strict=True)]


def scripted_transcription(seed: int, seconds: int, **options) -> tuple[dict, list[int]]:
    """Transcribe scripted windows; return the transcript, and the checksums of the prompts of its windows."""
    model = ScriptedModel(seed)
    mel = torch.zeros(80, 100 * seconds + 3000)
    with (
        patch.object(sys.modules["whisper.transcribe"], "log_mel_spectrogram", return_value=mel),
        patch.object(sys.modules["whisper.timing"], "find_alignment", model.align),
    ):
        result = whisper.transcribe(model, np.zeros(0), fp16=False, **options)
    correct(result, options)
    return result, model.prompts


def transcribe(model: whisper.Whisper, samples: np.ndarray, **options) -> dict:
    result = whisper.transcribe(model, samples, fp16=False, **options)
    correct(result, options)
    return result


def correct(result: dict, options: dict) -> None:
    """Correct two faults of openai-whisper.

    - It leaves an empty list of words on segments that it empties, even without word timestamps.
    - With `without_timestamps`, if the model writes timestamps nevertheless, it takes the first token for one, and a
      segment starts before its window, even before the recording.
    """
    for segment in result["segments"]:
        if not options.get("word_timestamps"):
            segment.pop("words", None)
        if options.get("without_timestamps"):
            segment["start"] = max(segment["start"], segment["seek"] / 100)


def written(result: dict, output_format: str, **options) -> dict[str, str]:
    """Return name -> text of the files that openai-whisper writes."""
    with tempfile.TemporaryDirectory() as folder:
        get_writer(output_format, folder)(result, "talk.2024.wav", **options)
        return {path.name: path.read_bytes().decode() for path in sorted(Path(folder).iterdir())}
