"""Measure the maps of `explain` on OpenAI's base and recordings of real people.

    OPENBLAS_NUM_THREADS=1 python -m tools.real.explain speech --clips 20
    OPENBLAS_NUM_THREADS=1 python -m tools.real.explain curves --clips 50
    OPENBLAS_NUM_THREADS=1 python -m tools.real.explain time

`speech` puts digits into the middle of silence and of room noise, and gives the share of each map in the time of the
digit, beside that of random maps. `curves` gives the areas under the curves of deletion and insertion, beside those of
random maps, for the first two seconds of utterances of LibriSpeech. Both are paired, with a bootstrap over clips.
`time` gives the seconds and the settling of a mask, the masks of two seeds, and how complete integrated gradients are.
Results go to tools/real/explain.json after each clip. Clips that are there are not measured again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.explanation.attention import attention_maps
from mlx_whisper_lora.explanation.cells import cell_means, spread
from mlx_whisper_lora.explanation.curves import random_maps
from mlx_whisper_lora.explanation.explain import explain, makers
from mlx_whisper_lora.explanation.gradients import INTEGRATION_STEPS, integrated_maps
from mlx_whisper_lora.explanation.masks import mask_maps
from mlx_whisper_lora.explanation.options import ATTENTION, METHODS, ExplanationOptions
from mlx_whisper_lora.explanation.replacement import silent
from mlx_whisper_lora.explanation.summary import GAMES, areas
from mlx_whisper_lora.explanation.targets import Targets, transcript_targets
from mlx_whisper_lora.explanation.transcript import find_transcript
from mlx_whisper_lora.whisper.audio.constants import HOP_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tools.real.recordings import RECORDINGS, recording

RESULTS = Path(__file__).parent / "explain.json"
Key = tuple[str | None, int, str]  # of a row: the surroundings of a clip if there are any, its number, and the method
SURROUNDINGS = {"silence": 0.0, "room noise": 0.003}  # the level of pink noise; speech has about 0.05
SECONDS = 2.0  # of a clip
OPTIONS = ExplanationOptions(words=("none",))
UNHEARD = (2,)  # an utterance whose first words base repeats without end


def digits() -> Iterator[tuple[np.ndarray, str]]:
    """Yield the samples of digits, and the words that were said, in an order of chance."""
    lines = (RECORDINGS / "fsdd" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    for i in np.random.default_rng(0).permutation(len(lines)):
        row = json.loads(lines[i])
        yield recording(f"fsdd/{row['file_name']}"), row["text"]


def utterances() -> Iterator[np.ndarray]:
    """Yield the first SECONDS of utterances of LibriSpeech's test-other, in an order of chance."""
    with (RECORDINGS / "long_recordings" / "metadata.jsonl").open(encoding="utf-8") as file:
        whole = json.loads(file.readline())
    for i in np.random.default_rng(0).permutation(len(whole["segments"])):
        start = whole["segments"][i]["start"]
        yield load_audio(RECORDINGS / "long_recordings" / whole["file_name"], start=start, end=start + SECONDS)


def pink_noise(n_samples: int, level: float) -> np.ndarray:
    """Return noise with the spectrum of a room, of a given root mean square."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(n_samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, n_samples)
    return (level * noise / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)


def share_of(values: np.ndarray, frames: slice) -> float:
    """Return the share of the sizes of a map in the time of the speech."""
    return float(np.abs(values[frames]).sum() / np.abs(values).sum())


def in_the_middle(spoken: np.ndarray, level: float) -> tuple[np.ndarray, slice]:
    """Return the samples of a digit in the middle of SECONDS of noise, and its frames."""
    samples = pink_noise(round(SECONDS * SAMPLE_RATE), level)
    first = (len(samples) - len(spoken)) // 2
    samples[first : first + len(spoken)] += spoken
    return samples, slice(first // HOP_LENGTH, -(-(first + len(spoken)) // HOP_LENGTH))


def measure_speech(model: Whisper, count: int, known: set[Key]) -> Iterator[dict]:
    """Yield for each surrounding, clip and method the shares of a map, and of random ones, in the time of a digit.

    Args:
        model: the model.
        count: of the clips.
        known: what is measured already.
    """
    for name, level in SURROUNDINGS.items():
        for clip, (spoken, word) in enumerate(islice(digits(), count)):
            methods = [method for method in METHODS if (name, clip, method) not in known]
            if not methods:
                continue
            samples, frames = in_the_middle(spoken, level)
            mel = clip_frames(samples, model.dims.n_mels)
            transcript = find_transcript(model, mx.array(mel), "en", text=word)
            parts = [transcript.whole()]
            targets = transcript_targets(model, transcript, parts, len(mel))
            for method in methods:
                if method == ATTENTION:
                    values = attention_maps(model, transcript, parts, mel)
                else:
                    values = makers(OPTIONS)[method](targets, mel)
                others = random_maps(cell_means(np.abs(values)), 20, seed=clip)
                random = np.mean([share_of(spread(other - other.min(), mel.shape), frames) for other in others])
                row = {"clip": clip, "around": name, "method": method, "share": share_of(values[0], frames)}
                yield row | {"random": random, "share_of_time": (frames.stop - frames.start) / len(mel)}


def measure_curves(model: Whisper, count: int, known: set[Key]) -> Iterator[dict]:
    """Yield for each clip and method the areas under its curves, and under those of random maps.

    Args:
        model: the model.
        count: of the clips.
        known: what is measured already.
    """
    for clip, samples in enumerate(islice(utterances(), count)):
        methods = tuple(method for method in METHODS if (None, clip, method) not in known)
        if not methods or clip in UNHEARD:
            continue
        options = replace(OPTIONS, methods=methods)
        for each in explain(model, clip_frames(samples, model.dims.n_mels), options, "en").maps:
            row: dict = {"clip": clip, "method": each.method, "score": each.score}
            for game in GAMES:
                row |= dict(zip((game, f"random_{game}"), areas(each, game), strict=True))
            yield row


def mean_with_interval(numbers: np.ndarray) -> dict:
    """Return the mean of numbers, one for each clip, with the 95 % interval of a bootstrap over clips."""
    draws = np.random.default_rng(0).integers(0, len(numbers), (2000, len(numbers)))
    low, high = np.quantile(numbers[draws].mean(axis=1), [0.025, 0.975])
    return {"mean": round(float(numbers.mean()), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def summaries(rows: list[dict]) -> list[dict]:
    """Return the means of each method, and the paired gains over random maps with their intervals."""
    found = []
    for key in dict.fromkeys((row.get("around"), row["method"]) for row in rows):
        its = [row for row in rows if (row.get("around"), row["method"]) == key]
        entry: dict = {"around": key[0], "method": key[1], "clips": len(its)}
        for name, random, sign in (
            ("share", "random", 1),
            ("deletion", "random_deletion", -1),
            ("insertion", "random_insertion", 1),
        ):
            if name in its[0]:
                own, others = (np.array([row[each] for row in its]) for each in (name, random))
                gains = sign * (own - others)
                entry[name] = {"map": round(float(own.mean()), 3), "random": round(float(others.mean()), 3)}
                entry[name] |= {"gain": mean_with_interval(gains), "better_clips": int((gains > 0).sum())}
        if "share_of_time" in its[0]:
            entry["share_of_time"] = round(float(np.mean([row["share_of_time"] for row in its])), 3)
        found.append(entry)
    return found


def measure_time(model: Whisper) -> dict:
    """Return what a mask of ten seconds takes, how complete integrated gradients are, and how masks settle."""
    targets, mel = whole_transcript(model, recording("speech/jfk.flac", 10.0))
    clock, work = time.perf_counter(), time.process_time()
    mask_maps(targets, mel, OPTIONS.mask_steps)
    clock, work = time.perf_counter() - clock, time.process_time() - work

    targets, mel = whole_transcript(model, next(utterances()))
    (with_mel,), (with_silence,) = np.array(targets.scores(mx.array(np.stack([mel, silent(mel)]))))
    steps = OPTIONS.mask_steps
    mask, longer, other = (mask_maps(targets, mel, *given)[0] for given in ((steps,), (2 * steps,), (steps, 1)))
    return {
        "mask_of_10_s": {"steps": steps, "seconds": round(clock, 1), "core_seconds": round(work, 1)},
        "integrated_of_2_s": {
            "sum_of_map": round(float(integrated_maps(targets, mel).sum()), 3),
            "sum_after_four_times_the_steps": round(
                float(integrated_maps(targets, mel, 4 * INTEGRATION_STEPS).sum()), 3
            ),
            "difference_of_scores": round(float(with_mel - with_silence), 3),
        },
        "mask_of_2_s": {
            "kept": round(float(mask.mean()), 3),
            "kept_after_twice_the_steps": round(float(longer.mean()), 3),
            "correlation_with_twice_the_steps": correlation(mask, longer),
            "correlation_with_another_seed": correlation(mask, other),
        },
    }


def whole_transcript(model: Whisper, samples: np.ndarray) -> tuple[Targets, np.ndarray]:
    """Return the transcript of a clip as a target, and the log-mel of the clip."""
    mel = clip_frames(samples, model.dims.n_mels)
    transcript = find_transcript(model, mx.array(mel), "en")
    return transcript_targets(model, transcript, [transcript.whole()], len(mel)), mel


def correlation(mask: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two masks."""
    return round(float(np.corrcoef(mask.ravel(), other.ravel())[0, 1]), 3)


def keep(name: str, found: dict) -> None:
    """Put a result into the file."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {name: found}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the maps of `explain` on recordings of real people.")
    parser.add_argument("what", choices=("speech", "curves", "time"))
    parser.add_argument("--clips", type=int, default=50)
    args = parser.parse_args()
    model = load_model("base", mx.float32)
    if args.what == "time":
        keep("time", measure_time(model))
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = results.get(args.what, {"rows": []})["rows"]
    known = {(row.get("around"), row["clip"], row["method"]) for row in rows}
    for row in {"speech": measure_speech, "curves": measure_curves}[args.what](model, args.clips, known):
        rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
        rows.sort(key=lambda row: (row.get("around", ""), row["clip"], METHODS.index(row["method"])))
        keep(args.what, {"summaries": summaries(rows), "rows": rows})
        print(row, flush=True)


if __name__ == "__main__":
    main()
