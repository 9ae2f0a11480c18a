"""The events of a short run, without the run."""

from dataclasses import replace
from pathlib import Path

from mlx_whisper_lora.adapters.inject import ParameterCounts
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.callbacks import AdapterSaved, Callback, Evaluated, RunEnd, RunStart, StepReport
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from tests.support.clips import noise_examples

BASE = Evaluation(2.0, 90.0, 60.0, ["wan", "<b>|</b> too"])
BETTER = Evaluation(0.5, 10.0, 5.0, ["one", "two"])


def valid_set() -> list[Example]:
    """Return two examples with texts."""
    clips = [Clip("1.wav", "one"), Clip("2.wav", "two\nand | <i>more</i>")]
    return [replace(each, text=clip.text, clip=clip) for each, clip in zip(noise_examples(2), clips, strict=True)]


def play_run(
    callback: Callback, adapter_file: str | Path, resumed_from: str | None = None, steps_before: int = 0
) -> None:
    """Give a callback the events of a run of four steps, of which the last two have an infinite loss."""
    options = RunOptions(model="tiny", adapter_file=str(adapter_file), resume=steps_before > 0)
    training = TrainingOptions(iters=4, warmup=0, steps_per_eval=2)
    counts = ParameterCounts(1, 2, 100)
    callback.load("tiny")
    callback.evaluation(Evaluated(0, BASE, "base"))
    clips = noise_examples(3), valid_set()
    callback.start(
        RunStart(
            counts, resumed_from, options, LoRAConfig(), training, *clips, BASE, [], steps_before, {"english": BETTER}
        )
    )
    callback.step(StepReport(2, 1.5, 1e-3, 2.0, 30.0, 8.0, 1.3, 1_000_000_000, 60.0))
    callback.evaluation(Evaluated(2, BETTER))
    callback.evaluation(Evaluated(2, BASE, watched="english"))
    callback.save(AdapterSaved(adapter_file, 2, best=True))
    callback.step(StepReport(4, float("inf"), 1e-4, 2.0, 30.0, 8.0, 2.7, 1_000_000_000, 0.0))
    callback.evaluation(Evaluated(4, BASE))
    path = Path(adapter_file)
    callback.end(RunEnd(path, path, BASE, BETTER, 2, lambda example: float(example.tokens[4])))
