"""Watching the processes that train along."""

import socket
import time

import pytest

from mlx_whisper_lora.training import heartbeat
from mlx_whisper_lora.training.heartbeat import Heartbeat, connect_neighbors


@pytest.fixture
def stops(monkeypatch) -> list[str]:
    """The errors that the main thread is stopped with."""
    errors: list[str] = []
    monkeypatch.setattr(heartbeat, "stop_with", lambda error, stuck: errors.append(str(error)))
    monkeypatch.setattr(heartbeat, "PULSE", 0.02)
    monkeypatch.setattr(heartbeat, "SILENCE", 0.5)
    monkeypatch.setattr(heartbeat, "_GRACE", 0.1)
    return errors


@pytest.mark.slow
def test_a_neighbor_that_is_silent_is_lost(stops):
    here, there = socket.socketpair()
    watched = Heartbeat([(1, here)])
    with watched.needed():
        for _ in range(20):
            there.send(b".")
            time.sleep(0.05)
        assert stops == []
        time.sleep(1)
    assert stops[0] == "process 1 does not answer anymore: it is frozen or cut off"


@pytest.mark.slow
def test_a_neighbor_that_has_ended_is_lost_only_if_it_is_needed(stops):
    """A process that has done its part may end while another one still saves files."""
    here, there = socket.socketpair()
    watched = Heartbeat([(1, here)])
    there.close()
    time.sleep(0.5)
    assert stops == []
    with pytest.raises(ConnectionError, match="process 1 has ended"), watched.needed():
        pytest.fail("begun")


@pytest.mark.slow
def test_work_that_ends_soon_after_a_neighbor_is_not_stopped(stops, monkeypatch):
    monkeypatch.setattr(heartbeat, "_GRACE", 0.5)
    here, there = socket.socketpair()
    watched = Heartbeat([(1, here)])
    with watched.needed():
        there.close()
        time.sleep(0.2)
    time.sleep(0.6)
    assert watched.lost and stops == []


@pytest.mark.slow
def test_a_neighbor_that_cannot_be_reached_is_noted(monkeypatch):
    monkeypatch.setattr(heartbeat, "_TIME_TO_CONNECT", 0.1)
    nobody = b'["127.0.0.1", 1]'
    with pytest.warns(UserWarning, match=r"no connection to 127.0.0.1, port 1, to watch the other processes"):
        assert connect_neighbors(0, 2, lambda message: [message, nobody]) == []
