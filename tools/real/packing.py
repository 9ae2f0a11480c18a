"""Measure what windows of several clips teach OpenAI's base, beside single clips, on recordings of real people.

    python -m tools.real.packing --pack 0 --iters 300 --seeds 0 1 2
    python -m tools.real.packing --pack 0.5 --iters 230 --seeds 0 1 2
    python -m tools.real.packing --pack 0.5 --iters 4 --try    # a few clips and minutes, to see that it runs

Trains on Malayalam, without validation, and scores the untuned base and each adapter, greedily and without a fallback
to sampling:

    clips     word errors on the test clips, one by one
    long      word errors on the test clips, joined speaker by speaker to recordings of up to 5 minutes
    times     share of the segments of those whose start and end are found within 0.3 s
    loops     share of the tokens found there that repeat what precedes them for the second time or more
    english   word errors on the long English recordings

Results are in tools/real/packing.json, in per cent, with 95 % intervals of a bootstrap over clips or segments. A score
that is there already is not computed again, and an adapter that was trained is not trained again.
"""

import argparse
import json
import time
from pathlib import Path

from mlx_whisper_lora.adapters.adapter_file import load_adapter
from mlx_whisper_lora.adapters.inject import fuse_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.evaluation import transcribe_examples
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tools.real.joined import LongRecording, Segment, join_clips, looped_tokens, right_times, share, word_errors
from tools.real.recordings import RECORDINGS, recording

RESULTS = Path(__file__).parent / "packing.json"
OUTPUT = Path("build/packing")
MINUTES = 5  # of a joined recording
GREEDY = TranscriptionOptions(temperature=0.0)
UNTUNED = "base"
LONG = ("long", "times", "loops")  # scores of the joined recordings


class Measurement:
    """The scores of the base and of adapters on test clips and long recordings.

    Args:
        tries: whether to take a few of them only, and to keep no results.
    """

    def __init__(self, tries: bool):
        self.tries = tries
        self.clips = load_clips(RECORDINGS / "malayalam")
        if tries:
            self.clips["test"] = self.clips["test"][:12]
        self.results: dict[str, dict] = {}
        if RESULTS.exists() and not tries:
            self.results = json.loads(RESULTS.read_text(encoding="utf-8"))

    def train(self, pack: float, iters: int, seed: int) -> str:
        """Train an adapter, if that was not done, and return the name of its results."""
        name = f"pack {pack:g}, {iters} steps, seed {seed}"
        if not self.adapter_file(name).exists():
            OUTPUT.mkdir(parents=True, exist_ok=True)
            model = load_model("base")
            examples = build_examples(self.clips["train"], model).examples
            training = TrainingOptions(iters=iters, pack=pack, seed=seed, steps_per_eval=iters)
            options = RunOptions("base", adapter_file=str(self.adapter_file(name)), overwrite=True)
            start = time.perf_counter()
            callback = ConsoleCallback(lambda line: print(line, flush=True))
            finetune(model, examples, [], options, training, LoRAConfig(), callback)
            self.record(name, "minutes", round((time.perf_counter() - start) / 60, 1))
        return name

    def score(self, name: str) -> None:
        """Compute the scores of an adapter, or of the untuned base, that are not known."""
        missing = {"clips", *LONG, "english"} - self.results.get(name, {}).keys()
        if not missing:
            return
        model = load_model("base")
        if name != UNTUNED:
            load_adapter(model, self.adapter_file(name), "base")
            fuse_adapter(model)
        if "clips" in missing:
            self.record(name, "clips", self.score_clips(model))
        if missing.intersection(LONG):
            found = [self.transcribe(model, each, "ml") for each in join_clips(self.clips["test"], 60 * MINUTES)]
            for score in LONG:
                self.record(name, score, share([count for each in found for count in each[score]]))
        if "english" in missing:
            found = [self.transcribe(model, each, "en") for each in self.english()]
            self.record(name, "english", share([count for each in found for count in each["long"]]))

    def score_clips(self, model: Whisper) -> dict:
        """Return the word error rate on test clips."""
        examples = build_examples(self.clips["test"], model).examples
        texts = transcribe_examples(model, examples, GREEDY, 8, "Testing")
        pairs = zip(examples, texts, strict=True)
        normalizer = NORMALIZERS["unicode"]
        return share(
            [word_errors([Segment(0.0, each.seconds, each.text)], text, normalizer)[0] for each, text in pairs]
        )

    def transcribe(self, model: Whisper, sound: LongRecording, language: str) -> dict[str, list[tuple[int, int]]]:
        """Transcribe a long recording, and return what `share` needs for each score."""
        result = transcribe(model, sound.samples, GREEDY, language=language)
        found, first_special = result["segments"], model.tokenizer(language).eot
        normalizer = NORMALIZERS["english" if language == "en" else "unicode"]
        return {
            "long": word_errors(sound.segments, result["text"], normalizer),
            "times": right_times(sound.segments, found),
            "loops": looped_tokens([[token for token in each["tokens"] if token < first_special] for each in found]),
        }

    def english(self) -> list[LongRecording]:
        """Return the long English recordings, or the first minute of each."""
        folder = RECORDINGS / "long_recordings"
        rows = map(json.loads, (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines())
        seconds = 60.0 if self.tries else None
        return [
            LongRecording(
                recording(f"{folder.name}/{row['file_name']}", seconds),
                [
                    Segment(each["start"], each["end"], each["text"])
                    for each in row["segments"]
                    if seconds is None or each["end"] <= seconds
                ],
            )
            for row in rows
            if row["language"] == "en"
        ]

    def adapter_file(self, name: str) -> Path:
        """Return the file of an adapter, which is there once it is trained."""
        return OUTPUT / f"{name.replace(', ', '_').replace(' ', '_')}.npz"

    def record(self, name: str, key: str, value: object) -> None:
        """Add a result to those on disk, and print it."""
        print(f"{name}: {key} {value}", flush=True)
        self.results.setdefault(name, {})[key] = value
        if not self.tries:
            RESULTS.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what windows of several clips teach base.")
    parser.add_argument("--pack", type=float, required=True, help="share of the text in windows of several clips")
    parser.add_argument("--iters", type=int, required=True, help="training steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--try", dest="tries", action="store_true", help="score little, and keep no results")
    args = parser.parse_args()
    measurement = Measurement(args.tries)
    if not args.tries:
        measurement.score(UNTUNED)
    for seed in args.seeds:
        measurement.score(measurement.train(args.pack, args.iters, seed))


if __name__ == "__main__":
    main()
