"""Write the curves and some transcripts of a run for TensorBoard, by tensorboardX (the extra `tensorboard`)."""

import time
from html import escape
from os import PathLike
from typing import TYPE_CHECKING

from mlx_whisper_lora.training.callbacks import Callback, Evaluated, RunEnd, RunStart, StepReport
from mlx_whisper_lora.training.reporting.numbers import check_package, evaluation_numbers, step_numbers, transcripts
from mlx_whisper_lora.training.reporting.places import beside
from mlx_whisper_lora.whisper.destinations import check_folder

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


class TensorBoard(Callback):
    """Writes for `tensorboard --logdir adapters_tensorboard`, which has a curve for each run.

    Args:
        adapter_file: the file of the best adapter. Each run gets a folder in one beside it: adapters_tensorboard.

    Raises:
        OptionError: the package is missing.
    """

    def __init__(self, adapter_file: str | PathLike):
        check_package("tensorboard", "tensorboardX")
        self.folder = beside(adapter_file, "tensorboard")
        self._begun: tuple[SummaryWriter, RunStart] | None = None

    def load(self, model: str) -> None:
        check_folder(self.folder)

    def start(self, start: RunStart) -> None:
        from tensorboardX import SummaryWriter

        self._begun = SummaryWriter(str(self.folder / time.strftime("%Y-%m-%d_%H-%M-%S"))), start
        for evaluated in start.of_base():
            self._evaluation(evaluated)

    def step(self, report: StepReport) -> None:
        self._add(step_numbers(report), report.iteration)

    def evaluation(self, evaluated: Evaluated) -> None:
        if evaluated.candidate is None:
            self._evaluation(evaluated)

    def end(self, end: RunEnd) -> None:
        if self._begun:
            self._begun[0].close()

    def _evaluation(self, evaluated: Evaluated) -> None:
        if self._begun:
            writer, start = self._begun
            self._add(evaluation_numbers(evaluated), evaluated.iteration)
            if evaluated.watched is None:
                writer.add_text("valid/transcripts", _table(transcripts(start, evaluated.result)), evaluated.iteration)
            writer.flush()

    def _add(self, numbers: dict[str, float], iteration: int) -> None:
        if self._begun:
            for name, number in numbers.items():
                self._begun[0].add_scalar(name, number, iteration)


def _table(rows: list[tuple[str, str, str]]) -> str:
    """Return a table as Markdown. Texts cannot end a cell, nor hold HTML."""
    cells = [[escape(" ".join(cell.split())).replace("|", "&#124;") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (["clip", "text", "transcript"], ["---"] * 3, *cells))
