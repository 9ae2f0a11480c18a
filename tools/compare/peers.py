"""The three tools that are compared, each run in the Python that it is installed in."""

import contextlib
import importlib.metadata
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).parents[2]
OURS, MLX, OPENAI = "mlx_whisper_lora", "mlx-whisper", "openai-whisper"
RECORDING = "talk.wav"
# Rows keep each transcript as it is decoded first, unless they say otherwise: that saves time.
THRESHOLDS = ("logprob_threshold", "compression_ratio_threshold", "no_speech_threshold")
COMMON = ["--language", "en", "--output-format", "all"]
COMMON += [part for name in THRESHOLDS for part in (f"--{name.replace('_', '-')}", "None")]


def run_in(python: str, module: str, call: str, **environment: str) -> None:
    """Call a function of a module of this repository in another Python.

    Args:
        python: the Python.
        module: the module's dotted name.
        call: the call as text, in which `Path` is known.
        environment: more variables of the environment.

    Raises:
        subprocess.CalledProcessError: the call failed.
    """
    code = f"from pathlib import Path; import {module}; {module}.{call}"
    subprocess.run([python, "-c", code], check=True, env={**os.environ, **environment, "PYTHONPATH": str(_ROOT)})


class NotAccepted(Exception):
    """The tool does not have the option."""


class Failed(Exception):
    """The tool has the option, and fails with it; the message is the name of its exception."""


@dataclass
class Run:
    """The outcome of one run of a tool."""

    result: dict | None  # the function's result, or the command's JSON
    stems: set[str]  # names of the files that it wrote, without suffix
    folder: Path  # the folder that they are in
    decoded: list[dict]  # the options that each window was decoded with

    @property
    def segments(self) -> list[dict]:
        """The segments of the transcript."""
        assert self.result is not None
        return self.result["segments"]

    def lines(self, suffix: str = "srt") -> list[str]:
        """Return the lines of text of the subtitles."""
        text = (self.folder / f"{Path(RECORDING).stem}.{suffix}").read_text()
        return [line for line in text.splitlines() if line and "-->" not in line and not line.isdigit()]


class Tool:
    """One of the three tools, imported in this Python."""

    def __init__(self, name: str, files: Path):
        """Import a tool.

        Args:
            name: OURS, MLX or OPENAI.
            files: the folder that `tools.compare.files` filled.
        """
        self.name, self.files = name, files
        self.decoded: list[dict] = []
        self.model = str(files / ("demo.pt" if name == OPENAI else "npz"))  # the bundled model, in the tool's format
        # self.main is the tool's command, self.function its `transcribe` with the model given, and self.tensor makes
        # its framework's arrays from NumPy's.
        if name == OPENAI:
            self._import_openai_whisper()
            return
        import mlx.core as mx

        self.tensor = mx.array
        if name == MLX:
            import mlx_whisper.cli

            self.main = mlx_whisper.cli.main
            transcribe = mlx_whisper.transcribe
            self._spy(sys.modules["mlx_whisper.decoding"], "DecodingTask")
        else:
            import mlx_whisper_lora.transcribe

            self.main = mlx_whisper_lora.transcribe.cli
            transcribe = mlx_whisper_lora.transcribe.transcribe
            self._spy(sys.modules["mlx_whisper_lora.whisper.decoding.decode"], "generate")
        self.function = lambda audio, **options: transcribe(audio, path_or_hf_repo=self.model, **options)

    def _import_openai_whisper(self) -> None:
        import torch
        import whisper

        loaded = whisper.load_model(self.model)
        self.main = sys.modules["whisper.transcribe"].cli
        self.function = lambda audio, **options: whisper.transcribe(loaded, audio, **options)
        self.tensor = torch.from_numpy
        self._spy(sys.modules["whisper.decoding"], "DecodingTask")

    @property
    def title(self) -> str:
        """The heading of the tool's column."""
        return self.name if self.name == OURS else f"{self.name} {importlib.metadata.version(self.name)}"

    def _spy(self, module: ModuleType, name: str) -> None:
        """Record the options, its last argument, that the function which decodes a window is called with."""
        original = getattr(module, name)

        def recording(*args):
            self.decoded.append(dict(vars(args[-1])))
            return original(*args)

        setattr(module, name, recording)

    def command(self, options: str = "", audio: tuple[str, ...] = (RECORDING,), model: str | None = None) -> Run:
        """Run the command in a new folder with the recordings.

        Args:
            options: flags, spelled with hyphens.
            audio: names of recordings.
            model: a path or name other than the bundled model.

        Raises:
            NotAccepted: the command does not have one of the flags.
            Failed: the command fails, or writes nothing.
        """
        folder = self.enter_folder()
        before = set(folder.iterdir())
        code, output = self.run([*audio, "--model", model or self.model, *COMMON, *shlex.split(options)])
        new = set(folder.iterdir()) - before
        error = re.search(r"Skipping .* due to (\w+)", output)  # after which the peers continue, and exit with 0
        if code == 2:  # argparse refused a flag
            raise NotAccepted(output.splitlines()[-1])
        if error or code or not new:
            raise Failed(error[1] if error else output.splitlines()[-1] if output else "nothing is written")
        transcripts = sorted(path for path in new if path.suffix == ".json")
        result = json.loads(transcripts[0].read_text()) if transcripts else None
        return Run(result, {path.name.rpartition(".")[0] for path in new}, folder, self.decoded)

    def run(self, arguments: list[str]) -> tuple[int, str]:
        """Run the command; return its exit code and its output."""
        if self.name == OPENAI:  # it spells flags with underscores
            arguments = [re.sub("(?<=[a-z])-(?=[a-z])", "_", part) if part[:2] == "--" else part for part in arguments]
        output = io.StringIO()
        sys.argv = [self.name, *arguments]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                code = self.main() or 0
            except SystemExit as end:
                code = end.code or 0
            except Exception as error:
                print(type(error).__name__)
                code = 1
        return code, output.getvalue()

    def call(self, audio=RECORDING, **options) -> Run:
        """Call the function.

        Raises:
            NotAccepted: the function does not have one of the arguments.
            Failed: the function raises an exception.
        """
        options = {"language": "en", **dict.fromkeys(THRESHOLDS), **options}
        folder = self.enter_folder()
        try:
            return Run(self.function(audio, **options), set(), folder, self.decoded)
        except Exception as error:
            if "unexpected keyword argument" in str(error):
                raise NotAccepted(str(error)) from None
            raise Failed(type(error).__name__) from error

    def enter_folder(self) -> Path:
        """Make a new folder with the recordings in it, for one run, and make it the current one."""
        self.decoded = []
        folder = Path(tempfile.mkdtemp(dir=self.files / "runs"))
        shutil.copytree(self.files / "recordings", folder, dirs_exist_ok=True)
        os.chdir(folder)
        return folder
