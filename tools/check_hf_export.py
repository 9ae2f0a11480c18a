"""Check that other programs open what `convert --export hf` writes, and hear the same: transformers, and CTranslate2
(faster-whisper's engine) and whisper.cpp where they are given.

    python -m venv reference && reference/bin/pip install -e . torch transformers ctranslate2
    reference/bin/python tools/check_hf_export.py --whisper-cpp path/to/whisper.cpp

For the three vocabularies a seeded model of tests/whisper/seeded.py, and the bundled demo model: log-mels, greedy
tokens with and without timestamps, and the tokenization of some texts by WhisperProcessor. CTranslate2's converter runs
on each folder, and its greedy tokens are compared too; whisper.cpp's convert-h5-to-ggml.py has to write its file.
Prints a line a check and exits with 1 if one fails. Needs no network once installed.
"""

import argparse
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import mlx.core as mx
import numpy as np
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "whisper"))

from port import seeded_model  # noqa: E402
from seeded import VARIANTS, chirps  # noqa: E402

from mlx_whisper_lora.export import OutputForm, write_model  # noqa: E402
from mlx_whisper_lora.whisper.audio import load_audio, log_mel_spectrogram, pad_or_trim  # noqa: E402
from mlx_whisper_lora.whisper.checkpoints import load_model  # noqa: E402
from mlx_whisper_lora.whisper.decoding import decode, model_tokenizer  # noqa: E402
from mlx_whisper_lora.whisper.hub import DEMO  # noqa: E402
from mlx_whisper_lora.whisper.model import Whisper  # noqa: E402
from mlx_whisper_lora.whisper.transcription import transcribe  # noqa: E402

LENGTH = 40  # tokens
RECORDING = ROOT / "assets" / "demo_recording" / "recording.opus"
TEXTS = [
    " Hello, world!", "It's 3.14 o'clock; they've left.", "నమస్కారం, మీరు ఎలా ఉన్నారు?", "你好，世界。", "Привет, мир!",
    "مرحبا بالعالم", "नमस्ते दुनिया", "こんにちは世界", "  spaces \n and\tlines ", "♪ la la ♪ [music]", "😀👍🏽",
]  # fmt: skip


class Checks:
    """Prints outcomes and remembers whether all were good."""

    failed = False

    def __call__(self, name: str, good: bool, detail: str) -> None:
        self.failed |= not good
        print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}", flush=True)


def windows(name: str) -> list[np.ndarray]:
    """Windows of 30 s at 16 kHz."""
    if name == DEMO:
        samples = np.array(load_audio(RECORDING))
        return [pad_or_trim(samples[start:]) for start in range(0, len(samples), 480_000)][:3]
    return [chirps(30, seed=seed) for seed in (0, 1)]


def check_transformers(name: str, model: Whisper, folder: Path, check: Checks) -> None:
    theirs = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = WhisperProcessor.from_pretrained(folder)
    tokenizer = model_tokenizer(model, "en")
    same = [processor.tokenizer(text, add_special_tokens=False).input_ids == tokenizer.encode(text) for text in TEXTS]
    check(f"{name}: transformers' tokenizer", all(same), f"{sum(same)} of {len(same)} texts alike")
    language = {"language": "en", "task": "transcribe"} if model.is_multilingual else {}
    for window in windows(name):
        mel = np.array(log_mel_spectrogram(window, model.dims.n_mels))
        features = processor(window, sampling_rate=16000, return_tensors="pt").input_features
        difference = np.abs(features[0].numpy().T - mel).max()
        check(f"{name}: log-mel", difference < 1e-4, f"largest difference {difference:.1e}")
        for timestamps in (False, True):
            with torch.no_grad():
                output = theirs.generate(features, return_timestamps=timestamps, do_sample=False, num_beams=1,
                                         max_new_tokens=LENGTH, **language)  # fmt: skip
            found = [token for token in output[0].tolist() if not tokenizer.eot <= token < tokenizer.timestamp_begin]
            expected = timed_tokens(model, window) if timestamps else text_tokens(model, mel)
            if timestamps:
                found, expected = (spoken(tokens, tokenizer.timestamp_begin) for tokens in (found, expected))
            check(f"{name}: transformers, timestamps {timestamps}", found == expected,
                  f"{len(found)} {'segments' if timestamps else 'tokens'}" if found == expected
                  else f"{found} and {expected}")  # fmt: skip


def text_tokens(model: Whisper, mel: np.ndarray) -> list[int]:
    return decode(model, mx.array(mel), language="en", without_timestamps=True, sample_len=LENGTH).tokens


def timed_tokens(model: Whisper, window: np.ndarray) -> list[int]:
    """As transformers, which goes on after the last timestamp until the sound ends."""
    result = transcribe(model, window, language="en", temperature=0.0, sample_len=LENGTH, no_speech_threshold=None,
                        condition_on_previous_text=False)  # fmt: skip
    return [token for segment in result["segments"] for token in segment["tokens"]]


def spoken(tokens: list[int], timestamp_begin: int) -> list[list[int]]:
    """The segments: a timestamp, text, a timestamp. Transformers keeps timestamps after which nothing was said."""
    marks = [i for i, token in enumerate(tokens) if token >= timestamp_begin]
    return [tokens[start : end + 1] for start, end in itertools.pairwise(marks) if end > start + 1]


def check_ctranslate2(name: str, model: Whisper, folder: Path, check: Checks) -> None:
    import ctranslate2

    output = folder.with_name(f"{folder.name}-ct2")
    ctranslate2.converters.TransformersConverter(str(folder)).convert(str(output))
    theirs = ctranslate2.models.Whisper(str(output), compute_type="float32")
    tokenizer = model_tokenizer(model, "en")
    prompt = list(tokenizer.sot_sequence_including_notimestamps)
    for window in windows(name):
        mel = np.array(log_mel_spectrogram(window, model.dims.n_mels))
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.T[None]))
        answer = theirs.generate(features, [prompt], beam_size=1, max_length=2 * LENGTH)  # it writes half of that
        found = [token for token in answer[0].sequences_ids[0] if token != tokenizer.eot]
        expected = text_tokens(model, mel)
        check(f"{name}: CTranslate2", found == expected,
              f"{len(found)} tokens" if found == expected else f"{found} and {expected}")  # fmt: skip


def check_whisper_cpp(name: str, folder: Path, whisper_cpp: Path, check: Checks) -> None:
    """Run its converter, which takes the mel filters out of an installed openai-whisper."""
    package = importlib.util.find_spec("whisper")
    assert package is not None and package.origin is not None
    script = whisper_cpp / "models" / "convert-h5-to-ggml.py"
    output = folder.with_name(f"{folder.name}-ggml")
    output.mkdir()
    process = subprocess.run(
        [sys.executable, script, folder, Path(package.origin).parent.parent, output], capture_output=True, text=True
    )
    path = output / "ggml-model.bin"
    good = process.returncode == 0 and path.exists()
    check(f"{name}: whisper.cpp's converter", good, f"{path.stat().st_size} bytes" if good else process.stderr[-300:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--whisper-cpp", type=Path, help="a checkout of whisper.cpp, whose converter is to be tried")
    args = parser.parse_args()
    check = Checks()
    with tempfile.TemporaryDirectory() as place:
        for name in (*VARIANTS, DEMO):
            model = load_model(DEMO, mx.float32) if name == DEMO else seeded_model(name)
            folder = Path(place) / name
            write_model(model, folder, OutputForm(mx.float32, layout="hf"))
            check_transformers(name, model, folder, check)
            if importlib.util.find_spec("ctranslate2"):
                check_ctranslate2(name, model, folder, check)
            if args.whisper_cpp:
                check_whisper_cpp(name, folder, args.whisper_cpp, check)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
