"""Send the curves and some transcripts of a run to Weights & Biases (the extra `wandb`)."""

import os
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlx_whisper_lora.training.callbacks import Callback, Evaluated, RunEnd, RunStart, StepReport
from mlx_whisper_lora.training.reporting.numbers import check_package, evaluation_numbers, step_numbers, transcripts

if TYPE_CHECKING:
    from wandb import Run


class WeightsAndBiases(Callback):
    """Logs to a run that has the name of the adapter, in the project mlx_whisper_lora, unless WANDB_PROJECT names one.

    wandb's own environment variables apply, such as WANDB_MODE=offline. Its files go beside the adapter.

    Args:
        adapter_file: the file of the best adapter.

    Raises:
        OptionError: the package is missing.
    """

    def __init__(self, adapter_file: str | PathLike):
        check_package("wandb", "wandb")
        self.adapter_file = Path(adapter_file)
        self._begun: tuple[Run, RunStart] | None = None

    def start(self, start: RunStart) -> None:
        import wandb

        settings = asdict(start.settings) | asdict(start.training) | {"model": start.options.model}
        project = os.environ.get("WANDB_PROJECT", "mlx_whisper_lora")
        folder = str(self.adapter_file.parent)
        self._begun = wandb.init(project=project, name=self.adapter_file.stem, config=settings, dir=folder), start
        for evaluated in start.of_base():
            self._evaluation(evaluated)

    def step(self, report: StepReport) -> None:
        if self._begun:
            self._begun[0].log(step_numbers(report), step=report.iteration)

    def evaluation(self, evaluated: Evaluated) -> None:
        if evaluated.candidate is None:
            self._evaluation(evaluated)

    def end(self, end: RunEnd) -> None:
        if self._begun:
            self._begun[0].finish()

    def _evaluation(self, evaluated: Evaluated) -> None:
        if self._begun:
            import wandb

            run, start = self._begun
            numbers: dict[str, Any] = {**evaluation_numbers(evaluated)}
            if evaluated.watched is None:
                rows = [*map(list, transcripts(start, evaluated.result))]
                numbers["valid/transcripts"] = wandb.Table(columns=["clip", "text", "transcript"], data=rows)
            run.log(numbers, step=evaluated.iteration)
