"""The events of a run as numbers with names, for the programs that draw curves."""

import importlib.util
from itertools import islice

from mlx_whisper_lora.training.callbacks import Evaluated, RunStart, StepReport
from mlx_whisper_lora.training.results import Result
from mlx_whisper_lora.whisper.option import OptionError

N_TRANSCRIPTS = 5  # shown of each evaluation


def check_package(reporter: str, package: str) -> None:
    """Raise OptionError if the package of a reporter is not installed."""
    if importlib.util.find_spec(package) is None:
        raise OptionError(
            f"`report_to` {reporter} requires the package {package}: run pip install 'mlx_whisper_lora[{reporter}]'"
        )


def step_numbers(report: StepReport) -> dict[str, float]:
    """Return the numbers of training since the last report."""
    return {
        "train/loss": report.loss,
        "train/learning_rate": report.learning_rate,
        "train/passes": report.passes,
        "speed/steps_per_second": report.steps_per_second,
        "speed/tokens_per_second": report.tokens_per_second,
        "speed/audio_per_second": report.audio_per_second,
        "speed/peak_memory_gb": report.peak_memory / 1e9,
    }


def evaluation_numbers(evaluated: Evaluated) -> dict[str, float]:
    """Return the numbers of an evaluation on the validation clips, or on another validation set."""
    group = f"valid_{evaluated.watched}" if evaluated.watched else "valid"
    return {f"{group}/{name}": number for name, number in evaluated.result.numbers.items()}


def transcripts(start: RunStart, result: Result) -> list[tuple[str, str, str]]:
    """Return name, text and transcript of the first validation clips."""
    pairs = zip(start.valid_set, result.hypotheses, strict=False)
    return [(each.clip.name if each.clip else "", each.text, heard) for each, heard in islice(pairs, N_TRANSCRIPTS)]
