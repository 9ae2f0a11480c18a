"""Make the numbers that the tests compare the port with: what openai-whisper answers to the same input.

    python -m venv reference && reference/bin/pip install openai-whisper==20250625 librosa
    reference/bin/python tools/make_reference_whisper.py

Needs no network once installed and about a minute. Writes tests/whisper/reference/: arrays.npz, and one JSON file each
for decoding, transcription, the demo model, tokenizers, writers and sizes. All models but the demo model are small and
seeded (tests/whisper/seeded.py), so the files hold answers and no weights. Options are stored with their answers, and
the tests read them from there: a case is added here only.
"""

import argparse
import copy
import json
import sys
import tempfile
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import whisper
from whisper.tokenizer import get_tokenizer
from whisper.utils import get_writer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "whisper"))

from seeded import VARIANTS, chirps, seeded_parameters, small_dims, three_windows  # noqa: E402

# Each on all three models, and so on all three vocabularies.
DECODING = [
    {},
    {"without_timestamps": True},
    {"suppress_tokens": "", "suppress_blank": False, "max_initial_timestamp": None},
    {"prompt": "hello there", "max_initial_timestamp": 5.0},
    {"prompt": list(range(300, 700)), "prefix": [500, 600], "suppress_tokens": [11, 13, 220]},
    {"prefix": " well", "sample_len": 16, "suppress_tokens": "-1,220"},
    {"beam_size": 5},
    {"beam_size": 4, "patience": 2.0, "suppress_tokens": "", "suppress_blank": False, "without_timestamps": True},
    {"beam_size": 3, "patience": 0.5, "length_penalty": 0.6, "prompt": "hello there"},
]
MULTILINGUAL_DECODING = [{"language": None}, {"language": "te", "task": "translate"}]

# Temperatures too small to change the choice of a token make the fallback's outcome the same on both sides.
TRANSCRIPTION = [
    ("multilingual", 70.3, {"language": "te"}),
    ("multilingual", 45, {"condition_on_previous_text": False, "sample_len": 12}),
    ("multilingual", 31, {"language": "en", "initial_prompt": "Glossary: names", "task": "translate"}),
    ("english", 65, {"temperature": (0.0, 1e-7, 2e-7), "logprob_threshold": -6.3}),
    ("english", 65, {"temperature": (0.0, 1e-7), "compression_ratio_threshold": 1.3, "logprob_threshold": None}),
    ("english", 95, {"no_speech_threshold": 9.5e-4, "logprob_threshold": None}),
    ("english", 95, {"no_speech_threshold": 1e-5, "logprob_threshold": -6.2, "temperature": (0.0, 1e-7)}),
    ("v3", 12.345, {"language": "yue"}),
    ("v3", 80, {"language": "en"}),
    ("v3", 40, {"language": "en", "without_timestamps": True}),
]
TRANSCRIPTION_SAMPLE_LEN = 20
TRANSCRIPTION_DEFAULTS = {"temperature": 0.0, "no_speech_threshold": None}

TEXTS = [
    " Hello, world!", "It's 3.14 o'clock; they've left.", "నమస్కారం, మీరు ఎలా ఉన్నారు?", "你好，世界。", "Привет, мир!",
    "مرحبا بالعالم", "नमस्ते दुनिया", "こんにちは世界", "  spaces \n and\tlines ", "♪ la la ♪ [music] <|en|>", "😀👍🏽",
]  # fmt: skip

WRITER_SEGMENTS = [
    (0.0, 4.2, " A first line."),
    (4.2, 4.9995, " With an arrow --> and\ta tab "),
    (59.9996, 3599.5, ' నమస్కారం “quotes” \\ and "these"'),
    (3599.5, 3599.5, ""),
    (3600.0, 36000.123, " Past the hour"),
]


def reference_model(variant: str) -> whisper.Whisper:
    settings = VARIANTS[variant]
    dims = small_dims(settings["n_vocab"], settings["n_mels"])
    model = whisper.Whisper(whisper.ModelDimensions(**dims))
    weights = {name: torch.from_numpy(array) for name, array in seeded_parameters(dims, settings["seed"]).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) == {"encoder.positional_embedding"}  # fixed sinusoids
    return model.eval()


@torch.no_grad()
def arrays() -> dict[str, np.ndarray]:
    """Mel filters whole; of the larger arrays every nth row or column, n named in the key."""
    found = {f"filters_{n_mels}": librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels) for n_mels in (80, 128)}
    for n_mels in (80, 128):
        sound = chirps(2.5, seed=7)
        found[f"mel_{n_mels}_rows_10"] = whisper.log_mel_spectrogram(sound, n_mels).T[::10].numpy()
        padded = whisper.log_mel_spectrogram(sound, n_mels, padding=16000)
        found[f"mel_padded_{n_mels}_rows_25"] = padded.T[::25].numpy()
    for variant in VARIANTS:
        model = reference_model(variant)
        mel = whisper.log_mel_spectrogram(three_windows()[1], model.dims.n_mels)
        features = model.encoder(mel[None])
        tokens = torch.tensor([[model.dims.n_vocab - 1608, 1, 22, 333, 4444, 44444, 50000, 7]])
        found[f"features_{variant}_rows_50"] = features[0, ::50].numpy()
        found[f"logits_{variant}_columns_97"] = model.decoder(tokens, features)[0, :, ::97].numpy()
    return found


def decoding() -> list[dict]:
    cases = []
    for variant in VARIANTS:
        model = reference_model(variant)
        mels = torch.stack([whisper.log_mel_spectrogram(sound, model.dims.n_mels) for sound in three_windows()])
        for options in DECODING + (MULTILINGUAL_DECODING if model.is_multilingual else []):
            options = {"language": "en", "sample_len": 24, **options}
            # One by one, because openai-whisper's beam search takes no batch; and each with a copy, because it adds to
            # the list of suppressed tokens that it is given.
            results = [
                whisper.decode(model, mel, whisper.DecodingOptions(fp16=False, **copy.deepcopy(options))) for mel in mels
            ]
            fields = ("language", "tokens", "text", "avg_logprob", "no_speech_prob", "compression_ratio")
            answers = [{name: getattr(result, name) for name in fields} for result in results]
            cases.append({"variant": variant, "options": options, "results": answers})
        if model.is_multilingual:
            tokens, probs = whisper.detect_language(model, mels)
            cases[-1]["language_tokens"] = tokens.tolist()
            cases[-1]["language_probs"] = [
                {code: round(p, 7) for code, p in sorted(window.items())} for window in probs
            ]
    return cases


def transcription() -> list[dict]:
    cases = []
    for variant, seconds, options in TRANSCRIPTION:
        options = {"sample_len": TRANSCRIPTION_SAMPLE_LEN, **TRANSCRIPTION_DEFAULTS, **options}
        result = whisper.transcribe(reference_model(variant), chirps(seconds), fp16=False, **options)
        for segment in result["segments"]:
            segment.pop("words", None)  # left on emptied segments even where no words were asked for
        cases.append({"variant": variant, "seconds": seconds, "options": options, "result": result})
    return cases


def demo() -> dict:
    """The bundled model's transcript of the bundled recording, in the language that it detects."""
    folder = ROOT / "assets" / "demo_model"
    config = json.loads((folder / "config.json").read_text())
    config.pop("model_type")
    model = whisper.Whisper(whisper.ModelDimensions(**config))
    weights = {}
    for name, array in np.load(folder / "weights.npz").items():
        if ".conv" in name and name.endswith("weight"):
            array = array.swapaxes(1, 2)  # MLX's (out, kernel, in) to PyTorch's (out, in, kernel)
        weights[name.replace("mlp1", "mlp.0").replace("mlp2", "mlp.2")] = torch.from_numpy(array.astype(np.float32))
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) == {"encoder.positional_embedding"}
    samples, rate = soundfile.read(ROOT / "assets" / "demo_recording" / "recording.opus", dtype="float32")
    assert rate == 16000
    result = whisper.transcribe(model.eval(), samples, fp16=False)
    fields = ("seek", "start", "end", "text", "temperature", "tokens")
    segments = [{name: segment[name] for name in fields} for segment in result["segments"]]
    return {"text": result["text"], "language": result["language"], "segments": segments}


def tokenizers() -> list[dict]:
    cases = []
    for multilingual, num_languages in ((False, 99), (True, 99), (True, 100)):
        tokenizer = get_tokenizer(multilingual, num_languages=num_languages, language="te", task="translate")
        languages = zip(tokenizer.all_language_codes, tokenizer.all_language_tokens, strict=True)
        names = ("eot", "sot", "sot_lm", "sot_prev", "transcribe", "translate", "no_speech", "no_timestamps")
        cases.append({
            "multilingual": multilingual,
            "num_languages": num_languages,
            "special": {name: getattr(tokenizer, name) for name in (*names, "timestamp_begin")},
            "sot_sequence": tokenizer.sot_sequence,
            "language_tokens": dict(sorted(languages, key=lambda pair: pair[1])),
            "non_speech_tokens": tokenizer.non_speech_tokens,
            # As text, which Whisper's own code asks for with tiktoken's default: no special tokens in it.
            "texts": [[text, tokenizer.encode(text, disallowed_special=())] for text in TEXTS],
        })  # fmt: skip
    return cases


def writers() -> dict:
    segments = [{"id": i, "start": start, "end": end, "text": text, "tokens": [i, 50364], "temperature": 0.0,
                 "avg_logprob": -0.123456789, "compression_ratio": 1.0, "no_speech_prob": 1e-9}
                for i, (start, end, text) in enumerate(WRITER_SEGMENTS)]  # fmt: skip
    result = {"text": "".join(segment["text"] for segment in segments), "segments": segments, "language": "te"}
    with tempfile.TemporaryDirectory() as folder:
        get_writer("all", folder)(result, "talk.2024.wav")
        files = {path.name: path.read_bytes().decode() for path in sorted(Path(folder).iterdir())}
    return {"result": result, "files": files}


# Width, heads, encoder layers, decoder layers, vocabulary and mel bands of the published sizes.
SIZES = {
    "tiny": (384, 6, 4, 4, 51865, 80),
    "base": (512, 8, 6, 6, 51865, 80),
    "small": (768, 12, 12, 12, 51865, 80),
    "medium": (1024, 16, 24, 24, 51865, 80),
    "large-v2": (1280, 20, 32, 32, 51865, 80),
    "large-v3": (1280, 20, 32, 32, 51866, 128),
    "large-v3-turbo": (1280, 20, 32, 4, 51866, 128),
}


def sizes() -> dict[str, int]:
    """Trained parameters of each published size."""
    counts = {}
    for name, (width, heads, encoder_layers, decoder_layers, n_vocab, n_mels) in SIZES.items():
        with torch.device("meta"):  # shapes only
            encoder = whisper.model.AudioEncoder(n_mels, 1500, width, heads, encoder_layers)
            decoder = whisper.model.TextDecoder(n_vocab, 448, width, heads, decoder_layers)
        counts[name] = sum(parameter.numel() for half in (encoder, decoder) for parameter in half.parameters())
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output-dir", type=Path, default=ROOT / "tests" / "whisper" / "reference")
    folder = parser.parse_args().output_dir
    torch.set_num_threads(1)  # the order of sums, and so the last digits, depends on it
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "arrays.npz", **arrays())
    for make in (decoding, transcription, demo, tokenizers, writers, sizes):
        text = json.dumps(make(), ensure_ascii=False, separators=(",", ":"))
        (folder / f"{make.__name__}.json").write_text(text + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:8d} bytes  {path}")


if __name__ == "__main__":
    main()
