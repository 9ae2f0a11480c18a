"""Signals that ask a program to stop, and saving before it ends."""

import signal
import threading

import pytest

from mlx_whisper_lora.whisper import stopping
from mlx_whisper_lora.whisper.stopping import Stop, at_stop, give_up, signals_handled_by, stop_on_signals
from tests.support.processes import run_python, signals_as_they_were


@pytest.fixture(autouse=True)
def signals():
    with signals_as_they_were():
        yield


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_raises_a_keyboard_interrupt_that_names_it(number):
    stop_on_signals()
    with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name) as stop:
        signal.raise_signal(number)
    assert stopping.exit_code_of(stop.value) == 128 + number


def test_a_signal_that_is_ignored_stays_ignored():
    """As SIGHUP is under nohup, and SIGINT in the background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop_on_signals()
    signal.raise_signal(signal.SIGHUP)
    with signals_handled_by(signal.SIG_DFL):
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_second_signal_does_not_interrupt_what_follows_the_first(number):
    stop_on_signals()
    done = []
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        signal.raise_signal(number)
        try:
            raise OSError
        except OSError:
            signal.raise_signal(number)
        done.append("saved")
    assert done
    with pytest.raises(
        KeyboardInterrupt
    ):  # a first one that was lost, in __del__ perhaps, does not make a program deaf
        signal.raise_signal(number)


def test_hooks_see_the_error_innermost_first_and_no_signal_reaches_them():
    stop_on_signals()
    seen = []

    def hook(name):
        def note(error):
            signal.raise_signal(signal.SIGTERM)
            seen.append((name, type(error)))

        return note

    with pytest.raises(ConnectionError), at_stop(hook("outer")), at_stop(hook("inner")):
        raise ConnectionError
    assert seen == [("inner", ConnectionError), ("outer", ConnectionError)]
    with at_stop(hook("of a body that succeeds")):
        pass
    assert len(seen) == 2


def test_a_program_that_is_not_stuck_anymore_is_not_ended():
    with at_stop(lambda error: pytest.fail("called")):
        give_up(Stop(signal.SIGTERM), stuck=lambda: False)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_deaf_in_a_library_saves_and_ends_all_the_same(number):
    """A long sleep stands for the library. Another thread gets the signal, so that it does not end the sleep."""
    outcome = run_python(
        "-c",
        "import ctypes, os, signal, threading\n"
        "from mlx_whisper_lora.whisper import stopping\n"
        "stopping.PATIENCE = 0.2\n"
        "stopping.stop_on_signals()\n"
        f"threading.Timer(0.2, os.kill, (os.getpid(), {int(number)})).start()\n"
        "with stopping.at_stop(lambda error: print('saved after', error, flush=True)):\n"
        f"    signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
        "    ctypes.CDLL(None).sleep(60)\n",
    )
    assert (outcome.code, outcome.out) == (128 + number, f"saved after {signal.Signals(number).name}\n")


def test_handlers_are_left_alone_in_other_threads():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    thread = threading.Thread(target=stop_on_signals)
    thread.start()
    thread.join()
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
