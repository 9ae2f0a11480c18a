"""Print the events of a fine-tuning run."""

from collections import Counter
from collections.abc import Callable

from tqdm import tqdm

from mlx_whisper_lora.data.clip import DataError, list_errors
from mlx_whisper_lora.data.content import Duplicate
from mlx_whisper_lora.data.text_report import TextReport
from mlx_whisper_lora.training.callbacks import (
    AdapterSaved,
    Callback,
    ClipsDropped,
    ClipsFound,
    Evaluated,
    RunEnd,
    RunStart,
    StepReport,
    TestStart,
)
from mlx_whisper_lora.whisper.terminal import terminal_text


class ConsoleCallback(Callback):
    """Prints a line for each event.

    Args:
        print_line: prints a line. By default above the progress bar.

    """

    def __init__(self, print_line: Callable[[str], None] = tqdm.write):
        self.print_line = lambda line: print_line(terminal_text(line))

    def load(self, model: str) -> None:
        self.print_line(f"Loading model {model}")

    def clips(self, found: ClipsFound) -> None:
        counts = ", ".join(f"{len(clips)} {split}" for split, clips in found.splits.items())
        bundled = " (bundled; --data gives others)" if found.bundled else ""
        weight = f"; each train clip counts {found.weight} times" if found.weight > 1 else ""
        self.print_line(f"Clips in {found.folder}{bundled}: {counts}{weight}")
        if found.unused_tables:
            self.print_line(f"Note: not read, as other tables are there: {', '.join(map(str, found.unused_tables))}")
        silent = [clip for clips in found.splits.values() for clip in clips if not clip.text]
        if silent:
            self.print_line(f"Note: {len(silent)} clips have no text, such as {silent[0].name}; they count as silence")

    def duplicates(self, found: list[Duplicate]) -> None:
        pairs = Counter((duplicate.split, duplicate.first_split) for duplicate in found)
        for (split, first_split), count in pairs.items():
            example = next(each for each in found if (each.split, each.first_split) == (split, first_split))
            where = f"other {split} clips have" if split == first_split else f"{first_split} clips have too"
            self.print_line(
                f"Note: {count} {split} clips have audio that {where}, such as {example.clip.name} and "
                f"{example.first.name}"
            )
        if differing := [each for each in found if not each.has_same_text]:
            clip, first = differing[0].clip, differing[0].first
            self.print_line(
                f"Note: {len(differing)} of these clips have another text than the clip with their audio, such as "
                f"{clip.text!r} ({clip.origin or clip.name}) and {first.text!r} ({first.origin or first.name})"
            )

    def texts(self, report: TextReport) -> None:
        for line in report.lines():
            self.print_line(line)

    def skip(self, bad: list[DataError]) -> None:
        for line in (f"Clips that cannot be used, and are skipped: {len(bad)}", *list_errors(bad)):
            self.print_line(line)

    def drop(self, dropped: ClipsDropped) -> None:
        self.print_line(
            f"Left out {len(dropped.clips)} {dropped.split} clips ({dropped.reason}), such as {dropped.clips[0].name}"
        )

    def note(self, line: str) -> None:
        self.print_line(line)

    def start(self, start: RunStart) -> None:
        if start.resumed_from is not None:
            self.print_line(f"Resuming from {start.resumed_from}: {start.settings}")
        if start.steps_before:
            self.print_line(f"Going on after iteration {start.steps_before} of the run that was cut off")
        for note in start.notes:
            self.print_line(f"Note: {note}")
        counts = start.parameters
        head = f", head {counts.head / 1e6:.3f}M" if counts.head else ""
        self.print_line(
            f"Trainable parameters: encoder {counts.encoder / 1e6:.3f}M, decoder {counts.decoder / 1e6:.3f}M{head} "
            f"({100 * counts.trained / counts.total:.3f} % of {counts.total / 1e6:.3f}M)"
        )
        iters, size, n_clips = start.training.iters or 0, start.training.clips_per_step, len(start.train_set)
        if start.training.warmup == iters:
            self.print_line(f"Note: the learning rate rises over all {iters} steps (warmup), and does not fall")
        self.print_line(
            f"Training: {iters} steps of {min(size, n_clips)} clips, "
            f"{iters * min(size, n_clips) / n_clips:.1f} passes over {n_clips} clips"
        )
        if not start.valid_set:
            self.print_line("Note: there are no validation clips, so the newest adapter counts as the best")

    def step(self, report: StepReport) -> None:
        self.print_line(
            f"Iter {report.iteration}: Train loss {report.loss:.3f}, Learning rate {report.learning_rate:.3e}, "
            f"It/sec {report.steps_per_second:.3f}, Tokens/sec {report.tokens_per_second:.1f}, "
            f"Audio sec/sec {report.audio_per_second:.1f}, Pass {report.passes:.2f}, "
            f"Peak mem {report.peak_memory / 1e9:.3f} GB, Time left {tqdm.format_interval(report.seconds_left)}"
        )

    def evaluation(self, evaluated: Evaluated) -> None:
        result = evaluated.result
        candidate = f" ({evaluated.candidate})" if evaluated.candidate else ""
        name = f"{evaluated.watched}: Loss" if evaluated.watched else "Val loss"
        self.print_line(f"Iter {evaluated.iteration}{candidate}: {name} {result.loss:.3f}, {result.summary()}")

    def save(self, saved: AdapterSaved) -> None:
        if saved.iteration is None:
            self.print_line(f"Interrupted: saved the newest adapter to {saved.path}")
        else:
            remark = " (the best so far)" if saved.best else ""
            self.print_line(f"Iter {saved.iteration}: Saved adapter to {saved.path}{remark}")

    def end(self, end: RunEnd) -> None:
        if end.stopped_at is not None:
            self.print_line(f"Iter {end.stopped_at}: no better adapter for too long (early stopping): training ends")
        if end.base is None or end.best is None:
            return
        if end.iteration is not None:
            self.print_line(
                f"Best: iteration {end.iteration}, {end.best.summary()} (base: {end.base.summary()}), in "
                f"{end.adapter_file}"
            )
        elif end.base_is_best:
            old = ", and keeps the adapter of another run" if end.adapter_file.exists() else ""
            self.print_line(
                f"No adapter was better than the base ({end.base.summary()}): {end.adapter_file} was not "
                f"written{old}; the newest adapter is in {end.newest_file}"
            )
        else:
            self.print_line(f"The adapter in {end.adapter_file} is still the best ({end.best.summary()})")

    def test(self, start: TestStart) -> None:
        self.print_line(f"Testing {start.adapter_file or 'the base model without an adapter'} on {start.n_clips} clips")
        if start.seen:
            self.print_line(
                f"Warning: the adapter was trained on {len(start.seen)} of them, such as {start.seen[0].name}; "
                "it makes more errors on clips that it has not heard"
            )
