"""Make the numbers that the tests compare the port with: openai-whisper's answers to the same input.

    python -m tools.references.make_whisper [demo timing ...]

Needs the packages that `make parity` installs, no network, and a few minutes. Writes tests/whisper/reference/:
arrays.npz, and one JSON file each for decoding, transcription, the loop of long recordings, word timing, the demo
model, tokenizers, normalizers, writers and sizes; or only the named ones. All models but the demo model are small and
seeded (tools/references/seeded.py), so the files hold answers and no weights. The cases are in
tools/references/cases.py.
"""

import argparse
import copy
import itertools
import json
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import whisper
from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer
from whisper.timing import find_alignment
from whisper.tokenizer import get_tokenizer

from tools.references.cases import (
    DECODING,
    LAYOUTS,
    LOOP,
    MULTILINGUAL_DECODING,
    SHAPES,
    TEXTS,
    TIMING,
    TRANSCRIPTION,
    TRANSCRIPTION_DEFAULTS,
    TRANSCRIPTION_SAMPLE_LEN,
    WORDED_SEGMENTS,
    WRITER_SEGMENTS,
)
from tools.references.seeded import VARIANTS, chirps, three_windows
from tools.references.sentences import SENTENCES, made_up_sentences
from tools.references.theirs import demo_whisper, scripted_transcription, seeded_whisper, transcribe, written

ROOT = Path(__file__).parents[2]


@torch.no_grad()
def arrays() -> dict[str, np.ndarray]:
    """Return all mel filters, and of the larger arrays every nth row or column; the key ends in n."""
    found = {f"filters_{n_mels}": librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels) for n_mels in (80, 128)}
    for n_mels in (80, 128):
        audio = chirps(2.5, seed=7)
        found[f"mel_{n_mels}_rows_10"] = whisper.log_mel_spectrogram(audio, n_mels).T[::10].numpy()
        padded = whisper.log_mel_spectrogram(audio, n_mels, padding=16000)
        found[f"mel_padded_{n_mels}_rows_25"] = padded.T[::25].numpy()
    for variant in VARIANTS:
        model = seeded_whisper(variant)
        mel = whisper.log_mel_spectrogram(three_windows()[1], model.dims.n_mels)
        features = model.encoder(mel[None])
        tokens = torch.tensor([[model.dims.n_vocab - 1608, 1, 22, 333, 4444, 44444, 50000, 7]])
        found[f"features_{variant}_rows_50"] = features[0, ::50].numpy()
        found[f"logits_{variant}_columns_97"] = model.decoder(tokens, features)[0, :, ::97].numpy()
    return found


def decoding() -> list[dict]:
    cases = []
    for variant in VARIANTS:
        model = seeded_whisper(variant)
        mels = torch.stack([whisper.log_mel_spectrogram(audio, model.dims.n_mels) for audio in three_windows()])
        for options in DECODING + (MULTILINGUAL_DECODING if model.is_multilingual else []):
            options = {"language": "en", "sample_len": 24, **options}
            # One by one, because openai-whisper's beam search takes no batch; and each with a copy, because it adds to
            # the list of suppressed tokens that it is given.
            each = [whisper.DecodingOptions(fp16=False, **copy.deepcopy(options)) for _ in mels]
            results = [whisper.decode(model, mel, its) for mel, its in zip(mels, each, strict=True)]
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
        result = transcribe(seeded_whisper(variant), chirps(seconds), **options)
        cases.append({"variant": variant, "seconds": seconds, "options": options, "result": result})
    return cases


def loop() -> list[dict]:
    """Transcribe scripted windows with the loop over a long recording; prompts are stored as checksums."""
    cases = []
    for seed, seconds, options in LOOP:
        options = {"language": "en", **options}
        result, prompts = scripted_transcription(seed, seconds, **options)
        cases.append({"seed": seed, "seconds": seconds, "options": options, "result": result, "prompts": prompts})
    return cases


def timing() -> dict[str, list]:
    """Align words with audio by the seeded models, and split texts into words."""
    aligned = []
    for variant, language, text, seconds, heads in TIMING:
        model = seeded_whisper(variant)
        if heads is not None:
            mask = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
            mask[tuple(zip(*heads, strict=True))] = True
            model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
        tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=language)
        tokens = tokenizer.encode(text)
        mel = whisper.log_mel_spectrogram(chirps(seconds), model.dims.n_mels)
        words = find_alignment(model, tokenizer, tokens, whisper.pad_or_trim(mel, 3000), mel.shape[1])
        case = {"variant": variant, "language": language, "text": text, "seconds": seconds, "heads": heads}
        aligned.append({**case, "words": [vars(word) for word in words]})
    split = []
    for language in ("en", "ja"):
        tokenizer = get_tokenizer(True, language=language)
        for text in TEXTS:
            tokens = [*tokenizer.encode(text, disallowed_special=()), tokenizer.eot]
            split.append([language, text, *tokenizer.split_to_word_tokens(tokens)])
    return {"aligned": aligned, "split": split}


def demo() -> dict:
    """Transcribe the bundled recording with the bundled model, in the language that it detects."""
    model = demo_whisper()
    samples, rate = soundfile.read(ROOT / "assets" / "demo_recording" / "recording.opus", dtype="float32")
    assert rate == 16000
    # Temperature 0 alone: samples cannot be compared.
    result, timed, searched = (
        transcribe(model, samples, temperature=0.0, **options)
        for options in ({}, {"word_timestamps": True}, {"beam_size": 5, "patience": 2.0})
    )
    fields = ("seek", "start", "end", "text", "temperature", "tokens")
    segments, searched_segments = (
        [{name: segment[name] for name in fields} for segment in each["segments"]] for each in (result, searched)
    )
    words = [[word["word"], word["start"], word["end"]] for segment in timed["segments"] for word in segment["words"]]
    return {
        "text": result["text"],
        "language": result["language"],
        "segments": segments,
        "words": words,
        "searched_segments": searched_segments,
    }


def tokenizers() -> list[dict]:
    cases = []
    for multilingual, num_languages in ((False, 99), (True, 99), (True, 100)):
        tokenizer = get_tokenizer(multilingual, num_languages=num_languages, language="te", task="translate")
        languages = zip(tokenizer.all_language_codes, tokenizer.all_language_tokens, strict=True)
        names = ("eot", "sot", "sot_lm", "sot_prev", "transcribe", "translate", "no_speech", "no_timestamps")
        cases.append(
            {
                "multilingual": multilingual,
                "num_languages": num_languages,
                "special": {name: getattr(tokenizer, name) for name in (*names, "timestamp_begin")},
                "sot_sequence": tokenizer.sot_sequence,
                "language_tokens": dict(sorted(languages, key=lambda pair: pair[1])),
                "non_speech_tokens": tokenizer.non_speech_tokens,
                # As text without special tokens, which is tiktoken's default.
                "texts": [[text, tokenizer.encode(text, disallowed_special=())] for text in TEXTS],
            }
        )
    return cases


def normalizers() -> list[dict]:
    """Normalize each text; "plain" is BasicTextNormalizer with remove_diacritics, "split" with split_letters."""
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    plain, split = BasicTextNormalizer(remove_diacritics=True), BasicTextNormalizer(split_letters=True)
    return [
        {"text": text, "english": english(text), "basic": basic(text), "plain": plain(text), "split": split(text)}
        for text in (*SENTENCES, *itertools.islice(made_up_sentences(0), 100))
    ]


def writers() -> dict:
    segments = [
        {
            "id": i,
            "start": start,
            "end": end,
            "text": text,
            "tokens": [i, 50364],
            "temperature": 0.0,
            "avg_logprob": -0.123456789,
            "compression_ratio": 1.0,
            "no_speech_prob": 1e-9,
        }
        for i, (start, end, text) in enumerate(WRITER_SEGMENTS)
    ]
    result = {"text": "".join(segment["text"] for segment in segments), "segments": segments, "language": "te"}
    worded = [
        {
            "id": i,
            "start": words[0][1] if words else 3.5,
            "end": words[-1][2] if words else 3.5,
            "text": "".join(word for word, _, _ in words),
            "words": [dict(zip(("word", "start", "end"), word, strict=True), probability=0.5) for word in words],
        }
        for i, words in enumerate(WORDED_SEGMENTS)
    ]
    timed = {"text": "".join(segment["text"] for segment in worded), "segments": worded, "language": "te"}
    return {
        "result": result,
        "files": written(result, "all"),
        "timed_result": timed,
        "timed_files": written(timed, "all"),
        "layouts": [
            {
                "options": options,
                "srt": written(timed, "srt", **options)["talk.2024.srt"],
                "vtt": written(timed, "vtt", **options)["talk.2024.vtt"],
            }
            for options in LAYOUTS
        ],
    }


def sizes() -> dict[str, int]:
    """Count the trained parameters of each published size."""
    counts = {}
    for name, (width, heads, encoder_layers, decoder_layers, n_vocab, n_mels) in SHAPES.items():
        with torch.device("meta"):  # shapes only
            encoder = whisper.model.AudioEncoder(n_mels, 1500, width, heads, encoder_layers)
            decoder = whisper.model.TextDecoder(n_vocab, 448, width, heads, decoder_layers)
        counts[name] = sum(parameter.numel() for half in (encoder, decoder) for parameter in half.parameters())
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output-dir", type=Path, default=ROOT / "tests" / "whisper" / "reference")
    makers = {
        make.__name__: make
        for make in (arrays, decoding, transcription, loop, timing, demo, tokenizers, normalizers, writers, sizes)
    }
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of {', '.join(makers)} (default: all)")
    args = parser.parse_args()
    folder = args.output_dir
    torch.set_num_threads(1)  # the order of sums, and so the last digits, depends on it
    folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or makers:
        made = makers[name]()
        if name == "arrays":
            np.savez_compressed(folder / "arrays.npz", **made)
        else:
            text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:8d} bytes  {path}")


if __name__ == "__main__":
    main()
