"""Measure the demo model in its own world: on utterances, windows and noises that it was not trained on.

    python -m tools.demo_model.measure

Needs espeak-ng (Debian package of that name), which makes fresh ones. Prints word error rate, language detection,
errors of timestamps and no-speech detection, and takes about five minutes.
"""

import argparse
import random
from collections.abc import Iterator
from difflib import SequenceMatcher

import mlx.core as mx
import numpy as np
from tqdm import tqdm

from mlx_whisper_lora.data.batches import batched
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult, decode
from mlx_whisper_lora.whisper.model.ops import use_fast_blas
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from mlx_whisper_lora.whisper.transcription.segments import cut_at_timestamps
from tools.demo_model.corpus import Recipe, utterance
from tools.demo_model.language import LANGUAGES
from tools.demo_model.noise import no_speech
from tools.demo_model.voices import Audio
from tools.demo_model.windows import lay_out

SEED = 101  # none of the corpora that the model was trained on has it
WORDS = (1.0,) * 10  # utterances of 1 to 10 words, equally often
NO_SPEECH = 0.6  # the commands' default no_speech_threshold


def decoded(model: Whisper, windows: list[Audio], **options) -> Iterator[DecodingResult]:
    """Decode each window, padded or trimmed to 30 s."""
    for batch in batched(windows, 10):
        mel = mx.stack([log_mel_spectrogram(pad_or_trim(audio)) for audio in batch])
        yield from decode(model, mel, **options)


def utterances(count: int, held_out: bool) -> list[tuple[Audio, dict]]:
    """Make utterances with their descriptions, by voices known from training, or by held-out ones."""
    recipe = Recipe(SEED + held_out, WORDS, held_out)
    made = (utterance(i, recipe) for i in range(count))
    return [(samples.astype(np.float32) / np.float32(32768), about) for samples, about in made]


def measure_utterances(model: Whisper, spoken: list[tuple[Audio, dict]]) -> str:
    results = decoded(model, [audio for audio, _ in spoken])
    found = list(tqdm(results, total=len(spoken), desc="Utterances", leave=False, disable=None))
    right = [result.language == about["language"] for result, (_, about) in zip(found, spoken, strict=True)]
    wer = word_error_rate([about["text"] for _, about in spoken], [result.text for result in found])
    return f"WER {wer:.2f} %, language right in {100 * np.mean(right):.1f} % of {len(spoken)} utterances"


def measure_timestamps(model: Whisper, count: int, spoken: list[tuple[Audio, dict]]) -> str:
    """Measure timestamps on windows of several utterances, paired with segments by their texts.

    Utterances that the window cuts do not count.
    """
    chance, rng = random.Random(SEED), np.random.default_rng(SEED)
    windows, utterances_of = [], []
    for i in range(count):
        language = LANGUAGES[i % len(LANGUAGES)]
        chosen = chance.sample([one for one in spoken if one[1]["language"] == language], 12)
        audio, starts = lay_out([audio for audio, _ in chosen], rng)
        spans = [
            (start, start + len(speech) / SAMPLE_RATE, about["text"])
            for start, (speech, about) in zip(starts, chosen, strict=False)
        ]
        windows.append(audio)
        utterances_of.append([span for span in spans if span[1] <= 30])
    errors: list[float] = []
    for result, expected in zip(decoded(model, windows), utterances_of, strict=True):
        found = timed_texts(result)
        matcher = SequenceMatcher(None, [text for _, _, text in found], [text for _, _, text in expected], False)
        for i, j, size in matcher.get_matching_blocks():
            pairs = zip(found[i : i + size], expected[j : j + size], strict=True)
            errors += [abs(ours[k] - true[k]) for ours, true in pairs for k in (0, 1)]
    total = 2 * sum(map(len, utterances_of))
    return (
        f"{100 * np.mean(np.array(errors) < 0.3):.1f} % within 0.3 s, median error {np.median(errors):.2f} s; "
        f"{100 * len(errors) / total:.0f} % of {total} timestamps had all their words right"
    )


def timed_texts(result: DecodingResult) -> list[tuple[float, float, str]]:
    """Return start and end in seconds, and text, of each segment of a window."""
    tokenizer = get_tokenizer(True, language=result.language)
    spans, _ = cut_at_timestamps(result.tokens, tokenizer, 3000)
    return [
        (start, end, tokenizer.decode([token for token in tokens if token < tokenizer.eot]).strip())
        for start, end, tokens in spans
    ]


def measure_no_speech(model: Whisper, count: int, spoken: list[tuple[Audio, dict]]) -> str:
    rng = np.random.default_rng(SEED)
    silences = [no_speech(30.0, rng) for _ in range(count)]
    right = [result.no_speech_prob > NO_SPEECH for result in decoded(model, silences, sample_len=1)]
    speech = [audio for audio, _ in spoken[:count]]
    kept = [result.no_speech_prob <= NO_SPEECH for result in decoded(model, speech, sample_len=1)]
    shares = 100 * np.mean(right), 100 * np.mean(kept)
    return f"{shares[0]:.1f} % of {count} noises and silences, {shares[1]:.1f} % of {count} utterances"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the demo model on fresh synthetic speech.")
    parser.add_argument("--model", default=DEMO, help="model folder (default: the bundled one)")
    parser.add_argument("--utterances", type=int, default=300, help="number of utterances of either kind of voice")
    args = parser.parse_args()
    use_fast_blas()
    model = load_model(args.model)
    known, unknown = (utterances(args.utterances, held_out) for held_out in (False, True))
    print(f"New utterances, voices of the training: {measure_utterances(model, known)}", flush=True)
    print(f"New utterances, unknown voices:         {measure_utterances(model, unknown)}", flush=True)
    print(f"Timestamps: {measure_timestamps(model, 30, known)}", flush=True)
    print(f"No-speech detected rightly: {measure_no_speech(model, 100, known)}", flush=True)


if __name__ == "__main__":
    main()
