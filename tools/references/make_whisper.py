"""Make the numbers that the tests compare the port with: what openai-whisper answers to the same input.

    python -m venv reference && reference/bin/pip install openai-whisper==20250625 librosa
    reference/bin/python -m tools.references.make_whisper [demo timing ...]

Needs no network once installed and a few minutes. Writes tests/whisper/reference/: arrays.npz, and one JSON file each
for decoding, transcription, the loop of long recordings, word timing, the demo model, tokenizers, normalizers, writers
and sizes; or only those named. All models but the demo model are small and seeded (tools/references/seeded.py), so the
files hold answers and no weights. Options are stored with their answers, and the tests read them from there: a case is
added here only.
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

from tools.references.seeded import VARIANTS, chirps, three_windows
from tools.references.sentences import SENTENCES, made_up_sentences
from tools.references.theirs import demo_whisper, scripted_transcription, seeded_whisper, transcribe, written

ROOT = Path(__file__).parents[2]


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
    ("multilingual", 40, {"language": "te", "initial_prompt": "Glossary: names", "carry_initial_prompt": True}),
    ("english", 25, {"clip_timestamps": "2,9.5,12"}),
    ("english", 32, {"word_timestamps": True}),
    ("multilingual", 20, {"language": "ja", "word_timestamps": True, "clip_timestamps": [4.0, 19.0]}),
    ("v3", 31, {"language": "en", "word_timestamps": True, "hallucination_silence_threshold": 2.0}),
]
TRANSCRIPTION_SAMPLE_LEN = 20
TRANSCRIPTION_DEFAULTS = {"temperature": 0.0, "no_speech_threshold": None}

# A scripted decoder in place of a model: seed of its script, seconds of sound, options. Words are timed by script too.
LOOP = [
    (19, 70, {}),
    (2, 70, {"condition_on_previous_text": False, "temperature": (0.0, 0.2)}),
    (20, 60, {"initial_prompt": "Glossary: names", "temperature": 0.0}),
    (4, 90, {"initial_prompt": "Glossary: names", "carry_initial_prompt": True, "temperature": 0.2}),
    (5, 90, {"initial_prompt": "names " * 105, "carry_initial_prompt": True}),
    (6, 60, {"clip_timestamps": "3,10.5,20,31.25,40"}),
    (7, 60, {"clip_timestamps": [0.0, 12.34]}),
    (8, 60, {"compression_ratio_threshold": None, "temperature": (0.4, 0.8)}),
    (21, 60, {"logprob_threshold": None}),
    (10, 60, {"no_speech_threshold": None}),
    (22, 60, {"word_timestamps": True}),
    (12, 60, {"word_timestamps": True, "language": "ja", "temperature": (0.0, 0.6)}),
    (13, 60, {"word_timestamps": True, "clip_timestamps": "2,30,33,50", "initial_prompt": "names"}),
    (14, 60, {"word_timestamps": True, "prepend_punctuations": "", "append_punctuations": ".,"}),
    (15, 60, {"word_timestamps": True, "hallucination_silence_threshold": 0.5}),
    (16, 60, {"word_timestamps": True, "hallucination_silence_threshold": 1.0, "clip_timestamps": "2,20,25"}),
    (17, 60, {"word_timestamps": True, "hallucination_silence_threshold": 2.0, "temperature": (0.0, 0.6)}),
    (18, 60, {"word_timestamps": True, "hallucination_silence_threshold": 2.0}),
]

# Model, language, text that was said, seconds of sound, and the (layer, head) pairs that align, or the model's own.
TIMING = [
    ("english", "en", " It's 3.14 o'clock; they've left. (Really?) “Yes” - he said.", 12.0, None),
    ("multilingual", "te", " నమస్కారం, మీరు ఎలా ఉన్నారు?", 30.0, [[0, 1], [1, 0]]),
    ("multilingual", "ja", "こんにちは、世界。", 5.0, None),
    ("v3", "yue", "你好，世界。 OK", 8.0, [[1, 1]]),
    ("multilingual", "en", " a", 0.3, None),
    ("multilingual", "en", " [noise]", 0.06, None),
]

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
        mels = torch.stack([whisper.log_mel_spectrogram(sound, model.dims.n_mels) for sound in three_windows()])
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
    """What the loop over a long recording makes of scripted windows; prompts by their checksums."""
    cases = []
    for seed, seconds, options in LOOP:
        options = {"language": "en", **options}
        result, prompts = scripted_transcription(seed, seconds, **options)
        cases.append({"seed": seed, "seconds": seconds, "options": options, "result": result, "prompts": prompts})
    return cases


def timing() -> dict[str, list]:
    """Words aligned with the sound by the seeded models, and texts cut into words."""
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
    """The bundled model's transcript of the bundled recording, in the language that it detects."""
    model = demo_whisper()
    samples, rate = soundfile.read(ROOT / "assets" / "demo_recording" / "recording.opus", dtype="float32")
    assert rate == 16000
    # Temperature 0 alone: what is sampled after a failure cannot be compared.
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


def normalizers() -> list[dict]:
    """What each makes of each text; BasicTextNormalizer by its arguments remove_diacritics and split_letters."""
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    plain, split = BasicTextNormalizer(remove_diacritics=True), BasicTextNormalizer(split_letters=True)
    return [
        {"text": text, "english": english(text), "basic": basic(text), "plain": plain(text), "split": split(text)}
        for text in (*SENTENCES, *itertools.islice(made_up_sentences(0), 100))
    ]


# Four segments with words: a long pause in the third, marks and a line break's worth of text.
WORDED_SEGMENTS = [
    [(" It", 0.0, 0.3), (" was", 0.3, 0.3), (" a", 0.5, 0.58), (" bright,", 0.58, 1.1), (" cold", 1.1, 1.9),
     (" day.", 2.0, 2.4)],
    [(" నమస్కారం", 2.4, 3.0), (" “quotes”", 3.0, 3.5)],
    [],
    [(" After", 3600.0, 3600.4), (" a", 3606.0, 3606.1), (" long", 3606.1, 3607.25), (" pause", 3607.25, 3608.0),
     (" unbelievablylongwords", 3608.0, 3609.0), (" too", 3609.0, 3609.2)],
]  # fmt: skip
LAYOUTS = [
    {},
    {"highlight_words": True},
    {"max_line_width": 12},
    {"max_line_width": 12, "max_line_count": 1},
    {"max_line_width": 14, "max_line_count": 2, "highlight_words": True},
    {"max_line_count": 1},
    {"max_words_per_line": 2},
    {"max_words_per_line": 4, "highlight_words": True},
    {"max_words_per_line": 2, "max_line_width": 8},
    {"max_words_per_line": 3, "max_line_width": 10, "max_line_count": 2},
]


def writers() -> dict:
    segments = [{"id": i, "start": start, "end": end, "text": text, "tokens": [i, 50364], "temperature": 0.0,
                 "avg_logprob": -0.123456789, "compression_ratio": 1.0, "no_speech_prob": 1e-9}
                for i, (start, end, text) in enumerate(WRITER_SEGMENTS)]  # fmt: skip
    result = {"text": "".join(segment["text"] for segment in segments), "segments": segments, "language": "te"}
    worded = [{"id": i, "start": words[0][1] if words else 3.5, "end": words[-1][2] if words else 3.5,
               "text": "".join(word for word, _, _ in words),
               "words": [dict(zip(("word", "start", "end"), word, strict=True), probability=0.5) for word in words]}
              for i, words in enumerate(WORDED_SEGMENTS)]  # fmt: skip
    timed = {"text": "".join(segment["text"] for segment in worded), "segments": worded, "language": "te"}
    return {
        "result": result,
        "files": written(result, "all"),
        "timed_result": timed,
        "timed_files": written(timed, "all"),
        "layouts": [{"options": options, "srt": written(timed, "srt", **options)["talk.2024.srt"],
                     "vtt": written(timed, "vtt", **options)["talk.2024.vtt"]} for options in LAYOUTS],
    }  # fmt: skip


# Width, heads, encoder layers, decoder layers, vocabulary and mel bands of the published sizes.
SIZE_REPOSITORIES = {
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
    for name, (width, heads, encoder_layers, decoder_layers, n_vocab, n_mels) in SIZE_REPOSITORIES.items():
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
