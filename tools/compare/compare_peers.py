"""Try every option and format with mlx_whisper_lora, mlx-whisper and openai-whisper, and print what works as a table.

    python -m tools.compare.compare_peers --mlx-whisper theirs/bin/python --openai-whisper others/bin/python

The three run in Pythons of their own: ours (with the extra `vad`) in the one that runs this, or in `--ours`. Needs
ffmpeg, which both peers read every sound with, and no network: the Hub's repositories are in a cache made here. All of
them transcribe 2.5 s of speech with the bundled model, converted for each. What it makes of them does not matter. An
option works if a transcript is written and the option has its effect on it, on its files, or at least on how windows
are decoded. Each tool's command runs inside this program with other arguments, again and again: that saves most of the
time, which goes into imports.
"""

import argparse
import contextlib
import importlib.metadata
import io
import itertools
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

OURS, MLX, OPENAI = "mlx_whisper_lora", "mlx-whisper", "openai-whisper"
YES, NO = "yes", "no"
SECONDS = 2.5
SOUND = "talk.wav"
LIBSNDFILE = ("wav", "flac", "ogg", "opus", "mp3")
FILMS = ("m4a", "mp4", "webm")
TRANSCRIPTS = ("txt", "vtt", "srt", "tsv", "json")
# Every transcript stands as it is decoded first, unless a row says otherwise: that saves time.
THRESHOLDS = ("logprob_threshold", "compression_ratio_threshold", "no_speech_threshold")
COMMON = ["--language", "en", "--output-format", "all"]
COMMON += [part for name in THRESHOLDS for part in (f"--{name.replace('_', '-')}", "None")]


ROOT = Path(__file__).parents[2]


class NotAccepted(Exception):
    """The tool has no such option."""


class Failed(Exception):
    """The tool has it, and then fails; the message is the name of its exception."""


@dataclass
class Made:
    """What came of a run: the function's result or the command's JSON, the stems of its files, the folder that they
    are in, and how each window was decoded."""

    result: dict | None
    stems: set[str]
    folder: Path
    decoded: list[dict]

    @property
    def segments(self) -> list[dict]:
        assert self.result is not None
        return self.result["segments"]

    def lines(self, suffix: str = "srt") -> list[str]:
        """The lines of text of the subtitles."""
        text = (self.folder / f"{Path(SOUND).stem}.{suffix}").read_text()
        return [line for line in text.splitlines() if line and "-->" not in line and not line.isdigit()]


class Tool:
    """One of the three, in the Python that it is installed in.

    main: its command; function: its `transcribe`, with the model given; model: the bundled one in its format; tensor:
    its framework's arrays from NumPy's.
    """

    def __init__(self, name: str, files: Path):
        self.name, self.files = name, files
        self.decoded: list[dict] = []
        self.model = str(files / ("demo.pt" if name == OPENAI else "npz"))
        if name == OPENAI:
            import torch
            import whisper

            loaded = whisper.load_model(self.model)
            self.main = sys.modules["whisper.transcribe"].cli
            self.function = lambda audio, **options: whisper.transcribe(loaded, audio, **options)
            self.tensor = torch.from_numpy
            self.spy(sys.modules["whisper.decoding"], "DecodingTask")
            return
        import mlx.core as mx

        self.tensor = mx.array
        if name == MLX:
            import mlx_whisper.cli

            self.main = mlx_whisper.cli.main
            transcribe = mlx_whisper.transcribe
            self.spy(sys.modules["mlx_whisper.decoding"], "DecodingTask")
        else:
            import mlx_whisper_lora.transcribe

            self.main = mlx_whisper_lora.transcribe.cli
            transcribe = mlx_whisper_lora.transcribe.transcribe
            self.spy(sys.modules["mlx_whisper_lora.whisper.decoding.decode"], "generate")
        self.function = lambda audio, **options: transcribe(audio, path_or_hf_repo=self.model, **options)

    @property
    def title(self) -> str:
        return self.name if self.name == OURS else f"{self.name} {importlib.metadata.version(self.name)}"

    def spy(self, module: ModuleType, name: str) -> None:
        """Keep the options, its last argument, that what decodes a window is called with."""
        original = getattr(module, name)

        def noting(*args):
            self.decoded.append(dict(vars(args[-1])))
            return original(*args)

        setattr(module, name, noting)

    def command(self, options: str = "", sounds: tuple[str, ...] = (SOUND,), model: str | None = None) -> Made:
        """Run the command in a folder with the sounds."""
        folder = self.enter_folder()
        before = set(folder.iterdir())
        code, output = self.run([*sounds, "--model", model or self.model, *COMMON, *shlex.split(options)])
        new = set(folder.iterdir()) - before
        error = re.search(r"Skipping .* due to (\w+)", output)  # after which the peers go on, and exit with 0
        if code == 2 and "usage:" in output:
            raise NotAccepted(output.splitlines()[-1])
        if error or code or not new:
            raise Failed(error[1] if error else output.splitlines()[-1] if output else "nothing is written")
        transcripts = sorted(path for path in new if path.suffix == ".json")
        result = json.loads(transcripts[0].read_text()) if transcripts else None
        return Made(result, {path.name.rpartition(".")[0] for path in new}, folder, self.decoded)

    def run(self, arguments: list[str]) -> tuple[int, str]:
        """The command's exit code, and what it printed."""
        if self.name == OPENAI:  # it spells options with underscores
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

    def call(self, audio=SOUND, **options) -> Made:
        """Call the function."""
        options = {"language": "en", **dict.fromkeys(THRESHOLDS), **options}
        folder = self.enter_folder()
        try:
            return Made(self.function(audio, **options), set(), folder, self.decoded)
        except Exception as error:
            if "unexpected keyword argument" in str(error):
                raise NotAccepted(str(error)) from None
            raise Failed(type(error).__name__) from error

    def enter_folder(self) -> Path:
        """A new folder with the sounds in it, for one run; it becomes the current one."""
        self.decoded = []
        folder = Path(tempfile.mkdtemp(dir=self.files / "runs"))
        shutil.copytree(self.files / "sounds", folder, dirs_exist_ok=True)
        os.chdir(folder)
        return folder


# What a run should have led to: each check returns what is wrong, or nothing.

Check = Callable[[Made], str]
Attempt = Callable[[Tool], str]
NO_EFFECT = "no effect"


def written(made: Made) -> str:
    return ""


def effect(seen: Callable[[Made], bool], otherwise: str = NO_EFFECT) -> Check:
    return lambda made: "" if seen(made) else otherwise


def decoded_with(**wanted) -> Check:
    """Some window was decoded with these options."""
    return effect(lambda made: any({**options, **wanted} == options for options in made.decoded))


def prompted(window: int) -> Check:
    return effect(lambda made: bool(made.decoded[window]["prompt"]))


def in_clips(made: Made) -> str:
    """Windows start within 0 to 0.5 s or 1.5 to 2 s."""
    starts = [segment["seek"] for segment in made.segments]
    good = starts and all(start < 50 or start >= 150 for start in starts)
    return "" if good else "what is between clips too"


def timed_words(made: Made) -> str:
    words = [word for segment in made.segments for word in segment["words"]]
    return "" if words and all(word["start"] <= word["end"] for word in words) else NO_EFFECT


# How a row is tried.


def option(arguments: str, check: Check = written, **python) -> Attempt:
    """By the command with `arguments`, or where that does not do, by the function with `python`."""

    def attempt(tool: Tool) -> str:
        try:
            wrong = check(tool.command(arguments))
        except NotAccepted:
            wrong = NO
        if not wrong or not python:
            return wrong or YES
        try:
            return function(check, **python)(tool)
        except NotAccepted:
            return wrong
        except Failed as error:
            return f"{wrong} (`{error}` from Python)"

    return attempt


def function(check: Check = written, **python) -> Attempt:
    return lambda tool: check(tool.call(**python)) or "from Python"


def patience(tool: Tool) -> str:
    beams = "" if tool.name == MLX else "--beam-size 2"
    return option(f"{beams} --patience 2", decoded_with(patience=2.0))(tool)


def numbers(tool: Tool, options: str) -> list[float]:
    """The log-probabilities of a transcript, which tell any two computations from each other."""
    return [segment["avg_logprob"] for segment in tool.command(options).segments]


def half_precision(tool: Tool) -> str:
    half, full = numbers(tool, "--fp16 True"), numbers(tool, "--fp16 False")
    return YES if half != full else "float32 only, on a CPU"


def adapter(tool: Tool) -> str:
    adapted = numbers(tool, f"--adapter-file {tool.files / 'adapter.npz'}")
    return YES if adapted != numbers(tool, "") else NO_EFFECT


def standard_input(tool: Tool) -> str:
    kept = os.dup(0)
    try:
        with (tool.files / "sounds" / SOUND).open("rb") as file:
            os.dup2(file.fileno(), 0)
            (stem,) = tool.command(sounds=("-",)).stems
    finally:
        os.dup2(kept, 0)
    return f"{YES}, as {stem}.txt"


def several(*sounds: str, expected: set[str], otherwise: str) -> Attempt:
    def attempt(tool: Tool) -> str:
        try:
            return YES if tool.command(sounds=sounds).stems == expected else otherwise
        except Failed:
            return NO

    return attempt


def bad_recording(tool: Tool) -> str:
    folder = tool.enter_folder()
    code, _ = tool.run(["noise.txt", SOUND, "--model", tool.model, *COMMON])
    others = "done" if list(folder.glob("*.json")) else "left"
    return f"the others are {others}, exit code {code}"


def reads(model: str) -> Attempt:
    def attempt(tool: Tool) -> str:
        try:
            return tool.command(model=model.format(tool.files)) and YES
        except Failed:
            return tool.command("--fp16 False", model=model.format(tool.files)) and "with `--fp16 False`"

    return attempt


def malicious(tool: Tool) -> str:
    marker = tool.files / "marker"
    marker.unlink(missing_ok=True)
    try:
        tool.command(model=str(tool.files / "demo.pt"))
    except Failed:
        return "reads no .pt"
    with contextlib.suppress(Failed):
        tool.command(model=str(tool.files / "malicious.pt"))
    return "runs what is in it" if marker.exists() else "refused"


def hears(*suffixes: str, ffmpeg: bool = True) -> Attempt:
    def attempt(tool: Tool) -> str:
        deaf = []
        path = os.environ["PATH"]
        for suffix in suffixes:
            os.environ["PATH"] = path if ffmpeg else "/nowhere"
            try:
                tool.command(sounds=(f"talk.{suffix}",))
            except (NotAccepted, Failed):
                deaf.append(suffix)
            finally:
                os.environ["PATH"] = path
        return YES if not deaf else NO if len(deaf) == len(suffixes) else f"not {', '.join(deaf)}"

    return attempt


def takes(make: Callable[[Tool, Path], object]) -> Attempt:
    """The function hears in what `make` makes of a path the same as in the file itself."""

    def attempt(tool: Tool) -> str:
        texts = [tool.call(audio).segments for audio in (SOUND, make(tool, tool.files / "sounds" / SOUND))]
        return YES if texts[0] == texts[1] else "taken for something else"

    return attempt


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


OPTIONS = "Options"
OVERWRITES = "one overwrites the other"
WORDS = "--word-timestamps True"
ROWS: dict[str, list[tuple[str, Attempt]]] = {
    OPTIONS: [
        ("beam search", option("--beam-size 2", decoded_with(beam_size=2), beam_size=2)),
        ("patience of beam search", patience),
        ("best of several samples", option("--temperature 0.5 --best-of 2", decoded_with(best_of=2))),
        ("length penalty", option("--length-penalty 0.5", decoded_with(length_penalty=0.5))),
        ("higher temperatures after a failure", option(
            "--temperature 0.8 --best-of 1 --logprob-threshold 0",
            effect(lambda made: all(segment["temperature"] == 1 for segment in made.segments), NO),
            temperature=(0.8, 1.0), best_of=1, logprob_threshold=0.0,
        )),
        ("initial prompt", option("--initial-prompt names", prompted(0))),
        ("initial prompt in every window", option(
            "--initial-prompt names --carry-initial-prompt True --condition-on-previous-text False "
            "--clip-timestamps 0,0.5,1.5,2", prompted(-1), initial_prompt="names", carry_initial_prompt=True,
        )),
        ("prefix", function(decoded_with(prefix="well"), prefix="well")),
        ("tokens to suppress", option("--suppress-tokens=-1,50", decoded_with(suppress_tokens="-1,50"))),
        ("text without timestamps", option(
            "--without-timestamps True", decoded_with(without_timestamps=True), without_timestamps=True,
        )),
        ("translation into English", option("--task translate", decoded_with(task="translate"))),
        ("language by its name", option(
            "--language Spanish", effect(lambda made: made.decoded[0]["language"] in ("es", "Spanish")),
        )),
        ("clips of a recording", option("--clip-timestamps 0,0.5,1.5,2", in_clips)),
        ("word timestamps", option(WORDS, timed_words)),
        ("skipping silence around made-up text", option(f"{WORDS} --hallucination-silence-threshold 1")),
        ("highlighted words", option(
            f"{WORDS} --highlight-words True", effect(lambda made: "<u>" in "".join(made.lines() + made.lines("vtt"))),
        )),
        ("lines of limited width", option(
            f"{WORDS} --max-line-width 8 --max-line-count 1",
            effect(lambda made: all(len(line) <= 8 or " " not in line.strip() for line in made.lines())),
        )),
        ("words in a line", option(
            f"{WORDS} --max-words-per-line 1",
            effect(lambda made: not any(" " in line.strip() for line in made.lines())),
        )),
        (", ".join(TRANSCRIPTS) + ", all", option("--output-format all", effect(
            lambda made: all((made.folder / f"talk.{suffix}").stat().st_size for suffix in TRANSCRIPTS),
        ))),
        ("name of the output", option("--output-name x", effect(lambda made: made.stems == {"x"}))),
        ("sound from standard input", standard_input),
        ("several files", several(SOUND, "other.wav", expected={"talk", "other"}, otherwise=OVERWRITES)),
        ("files of one name", several(SOUND, "folder/talk.wav", expected={"talk", "talk-2"}, otherwise=OVERWRITES)),
        ("patterns, as in `'*.wav'`", several("*.wav", expected={"talk", "other"}, otherwise=NO)),
        ("a file that is no sound", bad_recording),
        ("several windows at a time", option("--batch-size 2", batch_size=2)),
        ("cut by voice activity", option("--batch-size 2 --vad True", batch_size=2, vad=True)),
        ("float16 and float32", half_precision),
        ("LoRA adapters", adapter),
    ],
    "Models": [
        ("MLX, npz", reads("{}/npz")),
        ("MLX, safetensors", reads("{}/safetensors")),
        ("MLX, float32", reads("{}/float32")),
        ("MLX, 4 bits", reads("{}/4bit")),
        ("MLX, 8 bits", reads("{}/8bit")),
        ("transformers, one file", reads("{}/hf")),
        ("transformers, several files", reads("{}/sharded")),
        ("OpenAI's .pt", reads("{}/demo.pt")),
        (".pt with a program pickled into it", malicious),
        ("Hugging Face Hub, from its cache without a network", reads("someone/whisper")),
        ("a revision of it, as name@revision", reads("someone/tagged@v1")),
    ],
    "Sound": [
        ("WAV, FLAC, OGG, Opus, MP3, without ffmpeg", hears(*LIBSNDFILE, ffmpeg=False)),
        ("the same with ffmpeg", hears(*LIBSNDFILE)),
        ("M4A, MP4, WebM, with ffmpeg", hears(*FILMS)),
    ],
    "Sound from Python": [
        ("path as a string", takes(lambda tool, path: str(path))),
        ("path as `pathlib.Path`", takes(lambda tool, path: path)),
        ("bytes of a file", takes(lambda tool, path: path.read_bytes())),
        ("open file", takes(lambda tool, path: path.open("rb"))),
        ("NumPy array", takes(lambda tool, path: samples(path))),
        ("array of its framework", takes(lambda tool, path: tool.tensor(samples(path)))),
    ],
}  # fmt: skip


def cell(tool: Tool, group: str, attempt: Attempt) -> str:
    try:
        return attempt(tool)
    except NotAccepted:
        return NO
    except Failed as error:
        return f"fails: `{error}`" if group == OPTIONS else NO


# The files that the rows need: the first function runs in our Python, the second in openai-whisper's.


def make_files(files: Path) -> None:
    import mlx.core as mx
    import soundfile
    from mlx.utils import tree_unflatten

    from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
    from mlx_whisper_lora.adapters.inject import DEFAULT_TARGETS, LoRAConfig, add_lora, lora_modules
    from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_MODEL
    from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
    from mlx_whisper_lora.whisper.audio.load import load_audio
    from mlx_whisper_lora.whisper.checkpoints.load import load_model
    from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, export_model

    sounds = files / "sounds"
    (sounds / "folder").mkdir(parents=True)
    (files / "runs").mkdir()
    speech = load_audio(sorted(DEMO_CLIPS.glob("test/*"))[0])[: round(SECONDS * SAMPLE_RATE)]
    for suffix in LIBSNDFILE:
        form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
        soundfile.write(sounds / f"talk.{suffix}", speech, SAMPLE_RATE, **form)
    for suffix in FILMS:
        picture = [] if suffix == "m4a" else ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=5:duration={SECONDS}"]
        command = ["ffmpeg", "-v", "error", "-i", sounds / SOUND, *picture, sounds / f"talk.{suffix}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for copy in ("other.wav", "folder/talk.wav"):
        shutil.copy(sounds / SOUND, sounds / copy)
    (sounds / "noise.txt").write_text("no sound")

    def write(name: str, **form) -> None:
        export_model(load_model(DEMO_MODEL), files / name, ExportOptions(**form))

    write("safetensors")
    write("float32", dtype="float32")
    write("4bit", quantize=True, q_bits=4)
    write("8bit", quantize=True, q_bits=8)
    write("hf", export="hf")
    shutil.copytree(DEMO_MODEL, files / "npz")
    shard(files / "hf", files / "sharded")
    cache(files / "npz", files / "hub" / "models--someone--whisper", "main")
    cache(files / "npz", files / "hub" / "models--someone--tagged", "v1")

    model = load_model(DEMO_MODEL)
    base = Base.of(model, str(DEMO_MODEL))
    lora = LoRAConfig(layers=-1, targets=DEFAULT_TARGETS)
    add_lora(model, lora)
    for module in lora_modules(model).values():
        module.update(tree_unflatten([("lora_b", mx.random.normal(module.lora_b.shape) / 10)]))
    save_adapter(files / "adapter.npz", model, AdapterConfig(lora, "en", "transcribe", 0.0, base))
    write_malicious_pt(files / "malicious.pt", files / "marker")


def shard(folder: Path, sharded: Path) -> None:
    """A folder of transformers, its weights in two files with an index."""
    import mlx.core as mx

    shutil.copytree(folder, sharded)
    weights = mx.load(str(sharded / "model.safetensors"))
    names = sorted(weights)
    files = {}
    for i, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{i:05d}-of-00002.safetensors"
        mx.save_safetensors(str(sharded / file), {name: weights[name] for name in part}, metadata={"format": "pt"})
        files |= dict.fromkeys(part, file)
    (sharded / "model.safetensors").unlink()
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def cache(model: Path, repository: Path, revision: str) -> None:
    """A repository as huggingface_hub caches it, known by one revision alone."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(commit)


class WritesMarker:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def write_malicious_pt(path: Path, marker: Path) -> None:
    contents = {"dims": WritesMarker(marker), "model_state_dict": {}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(contents, protocol=2))
        archive.writestr("archive/version", "3\n")


def make_pt(files: Path) -> None:
    """The bundled model as OpenAI publishes its own."""
    import torch

    tests = Path(__file__).parent.parent / "tests"
    sys.path[:0] = [str(tests), str(tests / "whisper")]
    from tools.references.theirs import demo_whisper

    model = demo_whisper()
    torch.save({"dims": vars(model.dims), "model_state_dict": model.state_dict()}, files / "demo.pt")


def try_rows(name: str, files: Path, only: str) -> None:
    """Write a line of JSON a cell, and first the tool's title."""
    warnings.simplefilter("ignore")  # openai-whisper's, about float16 on a CPU
    tool = Tool(name, files)
    with (files / f"{name}.jsonl").open("w") as file:
        for title, text in itertools.chain([("", tool.title)], cells(tool, only)):
            print(json.dumps([title, text]), file=file, flush=True)
            print(f"{name}: {title}: {text}", file=sys.stderr, flush=True)


def cells(tool: Tool, only: str) -> Iterator[tuple[str, str]]:
    for group, rows in ROWS.items():
        for title, attempt in rows:
            if re.search(only, title):
                yield title, cell(tool, group, attempt)


def print_table(files: Path) -> None:
    """The table in Markdown; what came out alike shares a line."""
    columns = []
    for name in (OURS, MLX, OPENAI):
        columns.append(dict(map(json.loads, (files / f"{name}.jsonl").read_text().splitlines())))
    print("| " + " | ".join(["", *(column[""] for column in columns)]) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for group, rows in ROWS.items():
        print(f"| **{group}** |" + " |" * len(columns))
        lines: dict[tuple[str, ...], list[str]] = {}
        for title in (title for title, _ in rows if title in columns[0]):
            lines.setdefault(tuple(column[title] for column in columns), []).append(title)
        for line, titles in lines.items():
            print("| " + " | ".join(["; ".join(titles), *line]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--ours", default=sys.executable, help="Python with mlx_whisper_lora (default: this one)")
    parser.add_argument("--mlx-whisper", required=True, metavar="PYTHON", help="Python with mlx-whisper")
    parser.add_argument("--openai-whisper", required=True, metavar="PYTHON", help="Python with openai-whisper")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows with this in their title (default: all)")
    args = parser.parse_args()
    if not shutil.which("ffmpeg"):
        parser.error("ffmpeg is missing: both peers read sound with it")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        pythons = {OURS: args.ours, MLX: args.mlx_whisper, OPENAI: args.openai_whisper}

        def step(python: str, call: str) -> None:
            code = f"from pathlib import Path; from tools.compare import compare_peers; compare_peers.{call}"
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HF_HUB_CACHE": str(files / "hub"),
                "HF_HUB_OFFLINE": "1",
            }
            subprocess.run([python, "-c", code], check=True, env=environment)

        step(args.ours, f"make_files(Path({folder!r}))")
        step(args.openai_whisper, f"make_pt(Path({folder!r}))")
        for name, python in pythons.items():
            step(python, f"try_rows({name!r}, Path({folder!r}), {args.only!r})")
        print_table(files)


if __name__ == "__main__":
    main()
