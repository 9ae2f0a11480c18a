"""Measure whether a model with the token of a new language detects it, and still detects others.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.new_language --iters 150

OpenAI's base learns Malayalam under the token of a language that it lacks (dv, which stands in for any), and beside it
English digits, by the command that a user types. Then the language of clips that it was not trained on is detected:
Malayalam of other people, digits of another speaker, and English and Arabic of other data sets. Results go to
tools/real/new_language.json.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import LabelOptions
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.load import AudioSource, load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tools.real.adapt import OUTPUT, TASKS, data_folder, run, write_tables
from tools.real.recordings import RECORDINGS
from tools.real.results import add_result

RESULTS = Path(__file__).parent / "new_language.json"
NEW, NEAR = "dv", "ml"
WITHOUT_TEXTS = ("accents_en", "dialects_ar")


def detected(model: Whisper, recordings: Iterable[AudioSource]) -> Counter[str]:
    """Return how often each language is detected."""
    found: Counter[str] = Counter()
    for audio in recordings:
        mel = log_mel_spectrogram(pad_or_trim(load_audio(audio), N_SAMPLES), model.dims.n_mels)
        probs = detect_language(model, mel)[1]
        assert isinstance(probs, dict)
        found[max(probs, key=lambda code: probs[code])] += 1
    return found


def test_sets(malayalam: Path, digits: Path, count: int) -> dict[str, Sequence[AudioSource]]:
    """Return recordings of four data sets that are for the test, by their names."""
    sets = {"malayalam": load_clips(malayalam)["test"], "digits": load_clips(digits)["test"]}
    sets |= {name: load_clips(RECORDINGS / name, options=LabelOptions())["test"] for name in WITHOUT_TEXTS}
    chosen = {name: np.random.default_rng(0).permutation(len(clips))[:count] for name, clips in sets.items()}
    return {name: [clips[i].audio for i in chosen[name]] for name, clips in sets.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the detection of a new language.")
    parser.add_argument("--iters", type=int, required=True, help="training steps of two clips")
    parser.add_argument("--count", type=int, default=60, help="clips of each test set")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    adapter = OUTPUT / f"new_language_{args.seed}.npz"
    malayalam, digits = OUTPUT / "malayalam_as_new", data_folder("speaker", TASKS["speaker"], None)
    write_tables(malayalam, load_clips(RECORDINGS / "malayalam"), language=NEW)
    run("lora", "--train", "--model", "base", "--data", malayalam, "--data", digits, "--new-language", NEW,
        "--language", NEAR, "--iters", args.iters, "--seed", args.seed, "--val-clips", 8, "--steps-per-eval",
        args.iters, "--best-by", "loss", "--adapter-file", adapter, "--overwrite")  # fmt: skip
    sets = test_sets(malayalam, digits, args.count)
    for file in (None, str(adapter.with_name(f"{adapter.stem}_last.npz"))):
        model = load_model("base", dtype=mx.float32, adapter_file=file)
        found = {name: dict(detected(model, recordings).most_common()) for name, recordings in sets.items()}
        add_result(RESULTS, {"iters": args.iters if file else 0, "seed": args.seed, "detected": found})


if __name__ == "__main__":
    main()
