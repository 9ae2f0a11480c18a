"""The command that serves a page."""

import signal
import time

import pytest

from mlx_whisper_lora import studio
from mlx_whisper_lora.studio_page import server
from tests.support.processes import start_python


def test_without_gradio_the_error_says_how_to_install_it(run_main, monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    outcome = run_main(studio, "--model", "demo")
    line = "mlx_whisper_lora.studio: error: the page requires Gradio: run pip install 'mlx_whisper_lora[studio]'\n"
    assert (outcome.code, outcome.err) == (1, line)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--adapter-strength", "0.5"], 2, "--adapter-strength requires --adapter-file"),
        (["--port", "99999"], 2, "--port must be at most 65535, got 99999"),
        (["--host", "192.0.2.1"], 2, "--host 192.0.2.1: this machine cannot listen there"),
        (["--adapter-file", "no.npz"], 1, "no.npz: no such adapter file"),
        (["--model", "no/model"], 1, "no/model"),
    ],
)
def test_errors_are_one_line(arguments, code, line, run_main, monkeypatch):
    monkeypatch.setattr(studio, "check_gradio", lambda: None)
    outcome = run_main(studio, *arguments)
    assert outcome.code == code and outcome.err.startswith("mlx_whisper_lora.studio: error: ")
    assert line in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_signal_ends_it_with_the_exit_code_of_the_other_commands_and_nothing_is_left(tmp_path, demo_model_folder):
    pytest.importorskip("gradio", reason="the extra `studio` has Gradio")
    process = start_python("-m", "mlx_whisper_lora", "studio", "--model", "demo", "--port", "0", TMPDIR=str(tmp_path))
    assert process.stdout.readline().startswith("Open http://127.0.0.1:")
    assert len(list(tmp_path.iterdir())) == 1
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, "", "\nmlx_whisper_lora.studio: interrupted by SIGTERM\n")
    assert list(tmp_path.iterdir()) == [] and time.monotonic() - started < 10
