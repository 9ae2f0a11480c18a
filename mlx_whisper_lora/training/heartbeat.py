"""Notice within seconds if another process that trains along has ended or is frozen, whatever the processes do.

MLX waits for the other processes without an end. So each process is connected to the one before it and the one after
it, and a thread of its own sends a byte to both every second. If a process is lost, its neighbors end, then theirs, and
so on: the other processes need no connection to it.
"""

import contextlib
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mlx_whisper_lora.whisper.stopping import stop_with

PULSE = 1.0  # seconds between two bytes
SILENCE = 25.0  # seconds without a byte after which a process counts as frozen
_GRACE = 2.0  # seconds to end the work that a process which has ended took part in
_TIME_TO_CONNECT = 10.0  # seconds


class Heartbeat:
    """Watches the neighbors of this process.

    Args:
        neighbors: the connections, with the rank of the process at the other end.
    """

    def __init__(self, neighbors: list[tuple[int, socket.socket]]):
        self.lost: ConnectionError | None = None  # the error, as soon as a neighbor is lost
        self._needs_others = False
        for _, connection in neighbors:
            connection.setblocking(False)
        threading.Thread(target=self._watch, args=(neighbors,), daemon=True).start()

    @contextlib.contextmanager
    def needed(self) -> Iterator[None]:
        """Stop the body, which cannot end without the other processes, if one of them is lost.

        Raises:
            ConnectionError: another process is lost.
        """
        outer, self._needs_others = self._needs_others, True
        try:
            if self.lost:
                raise self.lost
            yield
        finally:
            self._needs_others = outer

    def _watch(self, neighbors: list[tuple[int, socket.socket]]) -> None:
        silent = [0] * len(neighbors)  # pulses without a byte: a clock would count the time that a machine sleeps
        while self.lost is None:
            time.sleep(PULSE)
            for i, (rank, connection) in enumerate(neighbors):
                try:
                    silent[i] = 0 if _receive(connection) else silent[i] + 1
                    if silent[i] * PULSE > SILENCE:
                        self.lost = ConnectionError(f"process {rank} does not answer anymore: it is frozen or cut off")
                    _send(connection)
                except OSError:
                    self.lost = ConnectionError(f"process {rank} has ended")
        time.sleep(_GRACE)
        while True:
            if self._needs_others:
                stop_with(self.lost, lambda: self._needs_others)
            time.sleep(PULSE)


def _receive(connection: socket.socket) -> bool:
    """Return whether there were bytes to receive. Raise OSError if the connection was closed."""
    try:
        if not connection.recv(4096):
            raise ConnectionResetError
    except BlockingIOError:
        return False
    return True


def _send(connection: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):  # a frozen process does not read
        connection.send(b".")


def connect_neighbors(rank: int, size: int, gather: Callable[[bytes], list[bytes]]) -> list[tuple[int, socket.socket]]:
    """Connect this process to the one before it and the one after it, as `Heartbeat` needs it.

    Args:
        rank: the number of this process.
        size: the number of processes.
        gather: returns what each process gives it, in all of them.
    """
    neighbors: list[tuple[int, socket.socket]] = []
    with socket.create_server(("", 0)) as server:
        server.settimeout(_TIME_TO_CONNECT)
        address = json.dumps([_host(rank), server.getsockname()[1]]).encode()
        addresses = [json.loads(each) for each in gather(address)]
        after, before = (rank + 1) % size, (rank - 1) % size
        try:
            neighbors.append((after, socket.create_connection(addresses[after], _TIME_TO_CONNECT)))
            neighbors.append((before, server.accept()[0]))
        except OSError:
            host, port = addresses[after if not neighbors else rank]
            warnings.warn(
                f"no connection to {host}, port {port}, to watch the other processes: if one of them freezes, this "
                "one waits for it",
                stacklevel=2,
            )
    return neighbors


def _host(rank: int) -> str:
    """Return the address of a process in the host file of MLX's ring, or else the name of this machine."""
    with contextlib.suppress(KeyError, OSError, ValueError, IndexError):
        hosts = json.loads(Path(os.environ["MLX_HOSTFILE"]).read_text())
        return hosts[rank][0].rpartition(":")[0]
    return socket.gethostname()
