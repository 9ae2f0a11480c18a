"""Processes that train together."""

import threading
import time
from types import SimpleNamespace

import pytest

from mlx_whisper_lora.training import distributed
from mlx_whisper_lora.training.distributed import StepWatch

TWO = SimpleNamespace(size=2, speaks=True)


@pytest.fixture
def given_up(monkeypatch) -> list[BaseException]:
    """The errors that `give_up` is called with."""
    errors: list[BaseException] = []
    monkeypatch.setattr(distributed, "give_up", lambda error, stuck: errors.append(error))
    monkeypatch.setattr(distributed, "_LEAST_PATIENCE", 0.5)
    return errors


@pytest.mark.slow
def test_a_step_that_does_not_end_gives_up(given_up):
    watch = StepWatch(TWO)
    with watch.step():
        time.sleep(0.01)
    with watch.step():
        time.sleep(2.2)
    assert given_up and "does not answer anymore" in str(given_up[0])


@pytest.mark.slow
def test_the_first_step_and_the_time_between_steps_are_not_limited(given_up):
    """The other processes may still load the model; and while this one evaluates, nobody else works."""
    watch = StepWatch(TWO)
    with watch.step():
        time.sleep(2.2)
    time.sleep(2.2)
    assert given_up == []


@pytest.mark.parametrize("world", [SimpleNamespace(size=1, speaks=True), SimpleNamespace(size=2, speaks=False)])
def test_only_the_first_of_several_processes_watches(world):
    before = threading.active_count()
    StepWatch(world)
    assert threading.active_count() == before


def test_only_errors_of_connections_are_reported_as_such():
    watch = StepWatch(SimpleNamespace(size=1, speaks=True))
    with pytest.raises(ConnectionError, match=r"failed: .* connection to a peer was lost"), watch.step():
        raise RuntimeError("[ring] connection to a peer was lost")
    with pytest.raises(RuntimeError, match="out of memory"), watch.step():
        raise RuntimeError("[metal::malloc] out of memory")
