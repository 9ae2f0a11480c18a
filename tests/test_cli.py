"""How commands are started and how they end."""

import argparse
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_whisper_lora import __main__ as front
from mlx_whisper_lora.cli.run import describe, run_command
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.stopping import Stop
from tests.support.processes import ROOT, run_python, signals_as_they_were, start_python


def end_of(main, capsys, monkeypatch) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["program"])
    with signals_as_they_were(), pytest.raises(SystemExit) as ending:
        run_command(main, argparse.ArgumentParser(prog="program"))
    return ending.value.code, capsys.readouterr().err


def raising(error: BaseException):
    def main(args):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("two\n  lines"), 1, "program: error: two lines\n"),
        (
            FileNotFoundError(2, "No such file or directory", "x.wav"),
            1,
            "program: error: x.wav: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), 1, "program: error: No space left on device\n"),
        (OSError("something"), 1, "program: error: something\n"),
        (FloatingPointError("no number"), 1, "program: error: no number\n"),
        (ValueError(), 1, "program: error: ValueError\n"),
        (KeyboardInterrupt(), 130, "\nprogram: interrupted\n"),
        (Stop(signal.SIGINT), 130, "\nprogram: interrupted\n"),
        (Stop(signal.SIGTERM), 143, "\nprogram: interrupted by SIGTERM\n"),
        (Stop(signal.SIGHUP), 129, "\nprogram: interrupted by SIGHUP\n"),
    ],
)
def test_errors_of_the_user_end_in_one_line(error, code, line, capsys, monkeypatch):
    assert end_of(raising(error), capsys, monkeypatch) == (code, line)


def test_faults_of_ours_show_where(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program"])
    with signals_as_they_were(), pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError()), argparse.ArgumentParser())


def test_the_code_is_what_main_returns(capsys, monkeypatch):
    assert end_of(lambda args: None, capsys, monkeypatch) == (0, "")
    assert end_of(lambda args: 3, capsys, monkeypatch) == (3, "")


def test_an_error_is_reported_on_one_line():
    assert describe(OSError("a\nb")) == "a b"


@pytest.mark.slow
def test_a_reader_that_leaves_early_causes_no_traceback():
    program = "import argparse\nfrom mlx_whisper_lora.cli.run import run_command\n"
    program += "def main(args):\n for _ in range(99999): print('line')\nrun_command(main, argparse.ArgumentParser())"
    process = start_python("-c", program)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(timeout=60) == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_output_that_cannot_be_written_ends_in_one_line():
    program = (
        "import argparse\nfrom mlx_whisper_lora.cli.run import run_command\n"
        "run_command(lambda args: print('line'), argparse.ArgumentParser('program'))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.stdout = open('/dev/full', 'w')\n{program}"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert (outcome.returncode, outcome.stderr) == (1, "program: error: No space left on device\n")
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        outcome = subprocess.run(
            ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.slow
def test_control_c_before_a_command_has_begun_ends_in_no_traceback():
    process = start_python("-X", "importtime", "-m", "mlx_whisper_lora.lora", "--train")
    for line in process.stderr:
        if line.split()[-1] == "mlx_whisper_lora":  # its own imports follow
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err


@pytest.mark.parametrize("command", front.COMMANDS)
def test_every_command_explains_itself(command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mlx_whisper_lora", command, "--help"])
    with pytest.raises(SystemExit) as ending:
        front.main()
    out = capsys.readouterr().out
    assert ending.value.code == 0
    assert out.startswith(f"usage: mlx_whisper_lora.{command} ") and "examples:" in out


def test_the_help_is_shown_by_a_terminal_without_its_letters(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["mlx_whisper_lora", "transcribe", "--help"])
    with pytest.raises(SystemExit) as ending:
        front.main()
    terminal.flush()
    assert ending.value.code == 0 and b"--append-punctuations" in terminal.buffer.getvalue()


@pytest.mark.slow
def test_python_m_package_and_command():
    outcome = run_python("-m", "mlx_whisper_lora", "lora", "--help")
    assert (outcome.code, outcome.err) == (0, "") and "--lora-layers" in outcome.out
    outcome = run_python("-m", "mlx_whisper_lora.fuse", "--help")
    assert (outcome.code, outcome.err) == (0, "") and "--adapter-file" in outcome.out


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["sing"], 2), (["--help"], 0)])
def test_without_a_command_the_commands_are_listed(arguments, code, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mlx_whisper_lora", *arguments])
    with pytest.raises(SystemExit) as ending:
        front.main()
    captured = capsys.readouterr()
    text = captured.err if code else captured.out
    assert ending.value.code == code and all(f"  {name}" in text for name in front.COMMANDS)


def test_the_version_is_printed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mlx_whisper_lora", "--version"])
    with pytest.raises(SystemExit) as ending:
        front.main()
    assert (ending.value.code, capsys.readouterr()) == (0, (f"mlx_whisper_lora {__version__}\n", ""))


@pytest.mark.slow
def test_importing_the_package_is_light():
    program = (
        "import sys, json, mlx_whisper_lora\n"
        "heavy = {'mlx.core', 'numpy', 'datasets', 'huggingface_hub', 'scipy', 'soundfile', 'tiktoken', 'jiwer'}\n"
        "print(json.dumps([sorted(heavy & sys.modules.keys()), mlx_whisper_lora.__version__]))"
    )
    heavy, version = json.loads(run_python("-c", program).out)
    assert heavy == [] and version


IMPORTS = {
    "function first": "from mlx_whisper_lora import transcribe",
    "module first": "import mlx_whisper_lora.transcribe",
    "module, then function": "import mlx_whisper_lora.transcribe\nfrom mlx_whisper_lora import transcribe",
    "something in the module": "from mlx_whisper_lora.transcribe import build_parser",
    "another module that needs it": "import mlx_whisper_lora, mlx_whisper_lora.adapters.loading",
}


@pytest.mark.slow
@pytest.mark.parametrize("imports", IMPORTS.values(), ids=IMPORTS)
def test_transcribe_can_be_called_however_it_was_imported(imports, tmp_path):
    program = (
        f"{imports}\nimport mlx_whisper_lora\n"
        "try:\n mlx_whisper_lora.transcribe('no.wav', path_or_hf_repo='no/such/folder')\n"
        "except ValueError as error:\n print(error)\n"
    )
    outcome = run_python("-c", program)
    message = "no/such/folder: model not found; give a folder, a .pt file or a Hugging Face repository (owner/name)\n"
    assert (outcome.err, outcome.out) == ("", message)


def test_the_python_surface():
    import mlx_whisper_lora

    for name in mlx_whisper_lora.__all__:
        assert getattr(mlx_whisper_lora, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        mlx_whisper_lora.sing  # noqa: B018
