"""The state of a run on disk, from which it goes on as if it had not been interrupted.

It is one `.npz` beside the adapter (adapters.npz -> adapters_state.npz): the trained parameters, the state of the
optimizer, averages of weights, the silence after short windows, and as JSON the place in the run and the best scores so
far. Random numbers need no state: the seed and the number of a step give them. The file is there from the first save to
the end of the run. It is read without pickle.
"""

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.adapter_keeper import AdapterKeeper, Progress
from mlx_whisper_lora.training.averages import Averages
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.training.encoder_cache import EncoderCache
from mlx_whisper_lora.training.options import SaveEvery
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.errors import NPZ_ERRORS, one_line
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError

_VERSION = 1
_ABOUT = "state"  # the array that holds JSON
_PARAMETERS, _OPTIMIZER, _SILENCE, _AVERAGES = "parameters.", "optimizer.", "silence.", "averages."


@dataclass(frozen=True)
class Place:
    """How far a run is."""

    run: str | None  # its identity, which its adapters have too
    digest: str  # of what decides its course, by `digest_of`
    iteration: int  # steps taken
    n_drawn: int  # batches drawn for them; clips that cannot be decoded may have cost some
    evaluated: int  # the step of the last evaluation
    progress: Progress


@dataclass(frozen=True)
class SavedState:
    """A state that was read."""

    path: Path
    place: Place
    arrays: dict[str, np.ndarray]

    def part(self, prefix: str) -> list[tuple[str, mx.array]]:
        """Return the arrays of a part, by their names in it."""
        names = [name for name in self.arrays if name.startswith(prefix)]
        return [(name.removeprefix(prefix), mx.array(self.arrays[name])) for name in names]


def state_file(adapter_file: str | PathLike) -> Path:
    """Return the file for the state of a run, beside its adapter: adapters.npz -> adapters_state.npz."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_state{path.suffix}")


def digest_of(train_set: Sequence[Example], valid_set: Sequence[Example], *settings: Any) -> str:
    """Hash what decides the course of a run: its clips with their labels, in their order, and its settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for example in (*train_set, None, *valid_set):
        digest.update(repr(example and (example.tokens, example.audio, example.n_frames)).encode())
    return digest.hexdigest()[:16]


def check_no_state(adapter_file: str | PathLike, run: str | None, overwrite: bool) -> None:
    """Check that a run that starts would not replace the state of another one, which was cut off.

    Args:
        adapter_file: the file for the adapter of the run.
        run: the run whose state may be replaced.
        overwrite: whether any state may be replaced.

    Raises:
        OptionError: there is such a state.
    """
    path = state_file(adapter_file)
    if overwrite or not path.exists():
        return
    with contextlib.suppress(AdapterError):
        if read_state(path).place.run == run:
            return
    raise OptionError(
        f"{path}: the state of another run, which was cut off; go on with it by `resume`, give `overwrite` to give it "
        "up, or another `adapter_file`"
    )


def read_state(path: str | PathLike) -> SavedState:
    """Read the state of a run.

    Raises:
        AdapterError: there is no such file, or it is damaged or not a state.
    """
    path = Path(path)
    if not path.is_file():
        raise AdapterError(f"{path}: there is no state of an interrupted run: the run has ended, or saved nothing yet")
    return _parse_state(path, path)


def _parse_state(path: Path, source: Path | IO[bytes]) -> SavedState:
    """Return the state in a file. The path is for messages.

    Raises:
        AdapterError: it is damaged, or not a state.
    """
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        if about.pop("version") != _VERSION:
            raise ValueError("it is of another version")
        place = Place(**about | {"progress": Progress.from_json(about["progress"])})
    except (KeyError, *NPZ_ERRORS) as error:
        raise AdapterError(f"{path}: not the state of a run, or damaged ({one_line(error)})") from None
    return SavedState(path, place, arrays)


def read_state_of_first(world: World, path: Path) -> SavedState:
    """Read the state of a run in the first of several processes, and send it to the others, which may lack the file.

    Raises:
        AdapterError: the first process cannot read the file.
    """
    state = read_state(path) if world.speaks else None
    content = world.gather(path.read_bytes() if world.speaks else b"")[0] if world.size > 1 else b""
    return state or _parse_state(path, io.BytesIO(content))


class RunState:
    """Saves the state of a run from time to time, and restores it.

    Args:
        path: the file.
        model: the model in training, with its adapter.
        keeper: knows the best scores so far.
        cache: has the silence.
        averages: of the weights.
        digest: what `digest_of` returns for the run.
        save_every: when to save, apart from evaluations.
        saved: the state to go on from. None at the start of a run.
        writes: whether files are written. Of several processes, one does.

    Attributes:
        iteration: the steps taken.
    """

    def __init__(
        self,
        path: Path,
        model: Whisper,
        keeper: AdapterKeeper,
        cache: EncoderCache,
        averages: Averages,
        digest: str,
        save_every: SaveEvery,
        saved: SavedState | None,
        writes: bool,
    ):
        self.path, self.model, self.keeper, self.digest = path, model, keeper, digest
        self.cache, self.averages = cache, averages
        self.save_every, self.writes, self._saved = save_every, writes, saved
        self.iteration, self.n_drawn, self.evaluated = 0, 0, 0
        self._optimizer: optim.Optimizer | None = None
        self._last_save = time.monotonic()
        if saved is None:
            self.end()

    def begin(self, optimizer: optim.Optimizer) -> None:
        """Take note of the optimizer, and restore it and all else, if there is a state to go on from.

        Raises:
            AdapterError: the state does not fit the model.
        """
        self._optimizer = optimizer
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        self._restore(saved, _PARAMETERS, self.model.trainable_parameters(), self.model.update)
        self._restore(saved, _OPTIMIZER, optimizer.state, lambda state: setattr(optimizer, "state", state))
        self.cache.silence = {int(name): array for name, array in saved.part(_SILENCE)}
        self.averages.restore(dict(saved.part(_AVERAGES)))
        place = saved.place
        self.iteration, self.n_drawn, self.evaluated = place.iteration, place.n_drawn, place.evaluated

    def _restore(self, saved: SavedState, prefix: str, present: Any, update: Any) -> None:
        """Give `update` a part of a saved state, which must have the names and shapes of the present one."""
        stored, expected = saved.part(prefix), tree_flatten(present)
        if {name: array.shape for name, array in stored} != {name: array.shape for name, array in expected}:
            raise AdapterError(f"{saved.path}: the {prefix[:-1]} in it are not those of this run")
        update(tree_unflatten(stored))

    def step_taken(self, iteration: int, n_drawn: int) -> None:
        """Take note of a whole step, and save if it is time to."""
        self.iteration, self.n_drawn = iteration, n_drawn
        self.averages.add_step()
        if self.save_every.is_due(iteration, time.monotonic() - self._last_save):
            with self.averages.moving_in_model():
                self.keeper.save_newest()
            self.save()

    def evaluation_done(self) -> None:
        """Take note that the adapter of the last step was evaluated, and save."""
        self.evaluated = self.iteration
        self.save()

    def save(self) -> None:
        """Write the state.

        Raises:
            OSError: the file cannot be written. The state before stays.
        """
        self._last_save = time.monotonic()
        if not self.writes or self._optimizer is None:
            return
        place = Place(
            self.keeper.config.run,
            self.digest,
            self.iteration,
            self.n_drawn,
            self.evaluated,
            self.keeper.progress,
        )
        about = json.dumps({"version": _VERSION, **asdict(place)}).encode()
        arrays: dict[str, Any] = {_ABOUT: np.frombuffer(about, np.uint8)}
        for prefix, tree in ((_PARAMETERS, self.averages.own), (_OPTIMIZER, self._optimizer.state)):
            arrays |= {prefix + name: np.array(array) for name, array in tree_flatten(tree)}
        arrays |= {f"{_SILENCE}{frames}": np.array(array) for frames, array in self.cache.silence.items()}
        arrays |= {_AVERAGES + name: np.array(array) for name, array in self.averages.arrays.items()}
        with atomic_write(self.path, "wb") as file:
            np.savez(file, **arrays)

    def save_cut_short(self, error: BaseException) -> None:
        """Save because an error ends training, unless the state would lead to the same error."""
        if not isinstance(error, FloatingPointError):
            self.save()

    def end(self) -> None:
        """Remove the file: the run is over, or that of a run before is given up."""
        if self.writes:
            self.path.unlink(missing_ok=True)
