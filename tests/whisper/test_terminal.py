"""Text that a terminal shows and does not obey."""

import io
import sys
import time

import pytest

from mlx_whisper_lora.whisper import terminal as module
from mlx_whisper_lora.whisper.terminal import progress_bar, say, terminal_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07x.wav", r"\x1b[2J\x1b]0;title\x07x.wav"),  # clears the screen, sets the title
        ("good\rbad\nworse\t.", r"good\rbad\nworse\t."),
        ("a\x9b31mb\x7f", r"a\x9b31mb\x7f"),  # an escape sequence of one byte, and a deletion
        ("cod.\u202egpj.exe\u2066", r"cod.\u202egpj.exe\u2066"),  # writing from right to left
        ("one\u2028two", r"one\u2028two"),
        ("bad byte \udcff", r"bad byte \udcff"),
        ("నమస్కారం शुभ\u200dम", "నమస్కారం शुभ\u200dम"),  # letters of all scripts, with their joiners
    ],
)
def test_characters_that_control_a_terminal_are_shown_as_escapes(text, shown):
    assert terminal_text(text) == shown


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "na\\xefve \\u0c28"), ("latin-1", "naïve \\u0c28")])
def test_letters_that_the_terminal_lacks_are_shown_as_escapes(encoding, shown, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    say("naïve న")
    assert terminal.buffer.getvalue().decode(encoding) == f"{shown}\n"


def test_a_log_file_gets_the_state_of_long_work_and_nothing_of_short(monkeypatch, capsys):
    assert [*progress_bar(range(3), "Reading")] == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "_MINUTE", 0.01)
    for _ in progress_bar(range(3), "Testing"):
        time.sleep(0.05)
    assert "Testing:  67%" in capsys.readouterr().err
