"""Stop a program when a signal asks for it, after it has saved its work.

Control-C, SIGTERM and SIGHUP raise `Stop`, a KeyboardInterrupt, in the main thread. While that thread is inside a
library that does not return, such as MLX waiting for another process, nothing can be raised. Then another thread ends
the program. Both ways call the hooks of `at_stop`.
"""

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 10.0  # seconds for the main thread to notice a signal

Hook = Callable[[BaseException], None]
_hooks: list[Hook] = []
_running_hooks = threading.RLock()
_noticed = threading.Event()
_failures: list[BaseException] = []  # that another thread raises in the main thread


class Stop(KeyboardInterrupt):
    """A signal asked the program to stop.

    Attributes:
        number: the number of the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a program that an error ended: as a shell reports it after a signal, or else 1."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + (error.number if isinstance(error, Stop) else signal.SIGINT)
    return 1


def stop_on_signals() -> None:
    """Let signals raise Stop in the main thread. A signal that is ignored, as SIGHUP under nohup, stays so.

    Further signals do nothing while a Stop is handled. If the main thread does not notice a signal within PATIENCE
    seconds, `give_up` ends the program.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise_stop)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def ignore_signals() -> None:
    """Ignore signals from now on, because the program is about to exit anyway."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    _noticed.set()
    handled = sys.exc_info()[1]
    while handled is not None:
        if isinstance(handled, KeyboardInterrupt):
            return  # the program is stopping already, and must not be interrupted while it saves
        handled = handled.__context__
    raise _failures.pop() if _failures else Stop(number)


def _watch(reader: int) -> None:
    """Give up if a signal comes that the main thread does not notice. Python writes signals to the pipe at once."""
    while received := os.read(reader, 1):
        if received[0] in SIGNALS and not _failures and not _noticed.wait(PATIENCE):
            give_up(Stop(received[0]), lambda: not _noticed.is_set())


@contextlib.contextmanager
def at_stop(hook: Hook) -> Iterator[None]:
    """Call `hook` with the error if the body fails, is stopped, or is stuck when the program has to end.

    Signals are ignored meanwhile. If the body is stuck, another thread calls the hook, and the body never continues.
    """
    _hooks.append(hook)
    try:
        yield
    except BaseException as error:
        with _running_hooks, signals_handled_by(signal.SIG_IGN):
            hook(error)
        raise
    finally:
        _hooks.remove(hook)


def stop_with(error: BaseException, stuck: Callable[[], bool]) -> None:
    """Raise an error in the main thread, from another thread. If that thread does not notice it, `give_up`.

    Args:
        error: the reason.
        stuck: returns whether the main thread is still at what it has to stop.
    """
    if signal.getsignal(signal.SIGINT) is _raise_stop:
        _failures[:] = [error]
        _thread.interrupt_main()  # calls the handler of SIGINT there
    end = time.monotonic() + PATIENCE
    while stuck() and time.monotonic() < end:
        time.sleep(0.1)
    give_up(error, stuck)


def give_up(error: BaseException, stuck: Callable[[], bool]) -> None:
    """End the program, whose main thread is stuck, from another thread: call the hooks of `at_stop`, innermost first.

    Args:
        error: the reason.
        stuck: returns whether the main thread is still stuck. If it is not, nothing happens.
    """
    with _running_hooks:
        if stuck():
            try:
                for hook in reversed(_hooks):
                    hook(error)
            finally:
                os._exit(exit_code_of(error))


@contextlib.contextmanager
def signals_handled_by(handler: signal.Handlers) -> Iterator[None]:
    """Give the signals another handler, such as SIG_IGN. Those that are ignored stay so."""
    old = {}
    if threading.current_thread() is threading.main_thread():
        old = {number: signal.getsignal(number) for number in SIGNALS}
        old = {number: each for number, each in old.items() if each not in (None, signal.SIG_IGN)}
    for number in old:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, each in old.items():
            signal.signal(number, each)
