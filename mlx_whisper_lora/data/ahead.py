"""Read the audio of examples in the background, before it is needed."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import OverlongClipError
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.terminal import progress_bar

_WORKERS = 4  # decoding and Fourier transforms let other threads run
_BATCHES_AHEAD = 4


class DrawnBatch(NamedTuple):
    """Examples of a batch, the seconds of audio that the encoder sees of them, and the number of the batch."""

    examples: list[Example]
    audio_context: float = AUTO
    number: int = 0


class LateErrors:
    """The clips of which only decoding shows that they cannot be used. Each is reported once.

    Args:
        skip: whether a run continues without clips that cannot be decoded. It does without those that are too long.
        report: gets the error of a clip that a run continues without.
    """

    def __init__(self, skip: bool, report: Callable[[list[DataError]], None]):
        self._skip, self._report = skip, report
        self._reported: set[str] = set()

    def handle(self, error: DataError) -> None:
        """Report the error of a clip, or raise it if the run may not continue without the clip."""
        if not self._skip and not isinstance(error, OverlongClipError):
            raise error
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self._report([error])


def load_unchanged(example: Example, number: int) -> Example:
    """Return an example with its log-mel in memory, whatever the number of its batch."""
    return example.loaded()


def read_ahead(
    batches: Iterable[DrawnBatch],
    errors: LateErrors,
    load: Callable[[Example, int], Example] = load_unchanged,
) -> Generator[DrawnBatch, None, None]:
    """Yield batches with their log-mels in memory. The next few are read in the background meanwhile.

    An example whose audio cannot be used is missing from its batch. A batch without examples is skipped.

    Args:
        batches: the batches; there may be no end to them.
        errors: decides about clips that cannot be used.
        load: loads an example of a batch, which is given by its number. Threads call it.

    Raises:
        DataError: a clip cannot be used, when its batch would come.
    """
    waiting: deque[tuple[DrawnBatch, list[Future[Example]]]] = deque()
    pool = ThreadPoolExecutor(min(_WORKERS, (os.cpu_count() or 1)), thread_name_prefix="features")
    try:
        for batch in batches:
            waiting.append((batch, [pool.submit(load, example, batch.number) for example in batch.examples]))
            if len(waiting) > _BATCHES_AHEAD:
                yield from _finished(*waiting.popleft(), errors)
        while waiting:
            yield from _finished(*waiting.popleft(), errors)
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(batch: DrawnBatch, loads: Sequence["Future[Example]"], errors: LateErrors) -> Iterator[DrawnBatch]:
    """Yield the batch with those of its examples that can be used, if there are any."""
    examples = []
    for each in loads:
        try:
            examples.append(each.result())
        except DataError as error:
            errors.handle(error)
    if examples:
        yield batch._replace(examples=examples)


def decodable(examples: Sequence[Example], errors: LateErrors) -> list[Example]:
    """Return the examples whose audio can be decoded. It is read once, and kept if there is a cache with space.

    Raises:
        DataError: a clip cannot be used, and the run may not continue without it.
    """
    bar = progress_bar(examples, desc="Reading clips", unit="clip")

    def load(example: Example, number: int) -> Example:
        example.loaded()
        return example

    batches = (DrawnBatch([each]) for each in bar)
    return [example for batch in read_ahead(batches, errors, load) for example in batch.examples]
