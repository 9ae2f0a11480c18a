"""Bad input: one clear line on standard error, a non-zero exit code, and no file left behind."""

import ctypes
import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora import fuse, inspect, lora
from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from tests.support.clips import tone, write_clips, write_jsonl
from tests.support.models import small_model
from tests.support.processes import Outcome, run_python

TRAIN = (
    "--train",
    "--model",
    "model",
    "--data",
    "clips",
    "--iters",
    "1",
    "--audio-context",
    "1.5",
    "--lora-layers",
    "1",
)
FUSE = ("--adapter-file", "a.npz", "--model", "model", "--save-path", "fused")


@pytest.fixture
def place(tmp_path, model_folder, monkeypatch) -> Path:
    """A folder with a model, clips and an adapter, all sound; the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_folder, "model")
    write_clips(Path("clips"), ["one"] * 3, seconds=0.5)
    rows = [{"audio": f"{i}.wav", "text": "one", "language": "en"} for i in range(2)]
    write_jsonl(Path("clips/train.jsonl"), rows)
    write_jsonl(Path("clips/test.jsonl"), [{"audio": "2.wav", "text": "one", "language": "en"}])
    write_adapter(Path("a.npz"))
    return tmp_path


def write_adapter(path: Path) -> None:
    model = load_model("model")
    config = AdapterConfig(LoRAConfig(layers=1), "en", "transcribe", 30.0, Base.of(model, "model"))
    add_adapter(model, config.settings)
    save_adapter(path, model, config)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(outcome: Outcome, prog: str, message: str) -> None:
    assert outcome.code != 0
    assert re.fullmatch(rf"{re.escape(prog)}: error: .*{message}.*\n(.* --help lists the options\n)?", outcome.err), (
        outcome.err
    )
    assert "Traceback" not in outcome.out


def cut(path: str, keep: float) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * keep)])


def table(*rows: dict) -> None:
    for name in ("train.jsonl", "test.jsonl"):
        Path("clips", name).unlink()
    write_jsonl(Path("clips/metadata.jsonl"), rows)


def sound(samples: np.ndarray, subtype: str = "PCM_16"):
    return lambda: soundfile.write("clips/1.wav", samples, 16000, subtype=subtype)


def same_dimensions_other_weights() -> None:
    save_model(small_model(seed=1), "model")


def other_dimensions() -> None:
    save_model(small_model(n_audio_state=128, n_text_state=128), "model")


COMMANDS = {
    "train": (lora, TRAIN),
    "test": (lora, ("--test", "--model", "model", "--data", "clips", "--adapter-file", "a.npz")),
    "test_alone": (lora, ("--test", "--data", "clips", "--adapter-file", "a.npz")),
    "neither": (lora, ("--data", "clips")),
    "inspect": (inspect, ("--data", "clips")),
    "fuse": (fuse, FUSE),
    "fuse_alone": (fuse, ("--adapter-file", "a.npz", "--save-path", "fused")),
}

CUT_OFF = r"1\.wav: (not a readable audio|the recording is cut short or damaged)"  # with ffmpeg, or without

# What is made bad, the command that meets it with options of its own, and what the line says.
CASES = {
    "missing recording": (lambda: Path("clips/1.wav").unlink(), "train", r"line 2: there is no recording clips/1\.wav"),
    "text called .wav": (lambda: Path("clips/1.wav").write_text("hello"), "train", r"1\.wav: not a readable audio"),
    "empty file": (lambda: Path("clips/1.wav").write_bytes(b""), "train", r"1\.wav: the file is empty \(0 bytes\)"),
    "no samples": (sound(np.zeros(0)), "train", r"1\.wav: the recording holds no samples"),
    "NaN samples": (sound(np.full(800, np.nan), "FLOAT"), "train", r"1\.wav: the recording holds NaN"),
    "cut-off header": (lambda: cut("clips/1.wav", 0.002), "train", CUT_OFF),
    "no text column": (lambda: table({"file_name": "1.wav", "words": "x"}), "train", "line 1: no text column"),
    "no audio column": (lambda: table({"clip": "1.wav", "text": "x"}), "train", "line 1: no audio column"),
    "missing clip": (lambda: table({"file_name": "9.wav", "text": "x"}), "train", "line 1: there is no recording"),
    "name that clears the screen": (
        lambda: table({"file_name": "\x1b[2J.wav", "text": "x"}), "train", r"no recording clips/\\x1b\[2J\.wav"
    ),
    "not a table": (lambda: Path("clips/train.jsonl").write_text("oops"), "train", "line 1: not JSON"),
    "no language": (lambda: table(*[{"file_name": "1.wav", "text": "x"}] * 3), "train", "give --language or a 'lang"),
    "no data folder": (lambda: shutil.rmtree("clips"), "train", "clips: no such data folder"),
    "empty data folder": (lambda: table(), "train", "there are no train clips"),
    "no table": (lambda: (table(), Path("clips/metadata.jsonl").unlink()), "train", "clips: no clips; found 3 .wav"),
    "all clips too long": (
        lambda: write_clips(Path("clips"), ["one"] * 3, seconds=0.8),
        "train --audio-context 0.5", r"there are no train clips but those \(longer than 0\.5 s\)",
    ),
    "text too long": (
        lambda: write_jsonl(Path("clips/train.jsonl"), [{"audio": "1.wav", "text": "a " * 99, "language": "en"}]),
        "train", r"there are no train clips but those \(texts of over 32 tokens\)",
    ),
    "unknown target": (None, "train --lora-targets attn.q", "--lora-targets must be chosen from .*, got attn.q"),
    "huge rank": (None, "train --lora-rank 1000000000", "--lora-rank must be at most 1280, got 1000000000"),
    "huge seed": (None, "train --seed 99999999999999999999", "--seed must be at most 18446744073709551615"),
    "infinite temperature": (None, "test --temperature inf", "--temperature must be at most 100, got inf"),
    "infinite patience": (None, "test --beam-size 2 --patience inf", "--patience must be at most 100, got inf"),
    "huge beam": (None, "test --beam-size 1000000000", "--beam-size must be at most 100, got 1000000000"),
    "no token": (None, "test --suppress-tokens 1,two", "--suppress-tokens takes token numbers .*, got '1,two'"),
    "huge token": (None, "test --suppress-tokens 9999999999", r"--suppress-tokens names .* \[9999999999\]"),
    "tiny increment": (
        None, "test --temperature-increment-on-fallback 1e-9", "-on-fallback must be at least 0.01, got 1e-09",
    ),
    "number beyond floats": (None, "train --learning-rate 1e400", "--learning-rate must be below inf, got inf"),
    "language that nobody knows": (None, "train --language xx", "or train a token for it with lora --new-language xx"),
    "new language that Whisper knows": (None, "train --new-language te", "knows Telugu: give --language te alone"),
    "new language in a test": (None, "test --new-language dv", "--new-language requires --train"),
    "rank 0": (None, "train --lora-rank 0", "--lora-rank must be at least 1, got 0"),
    "no steps": (None, "train --iters 0", "iters must be at least 1"),
    "context": (None, "train --audio-context 60", "--audio-context: expected auto, or 0.5 to 30 seconds, got 60"),
    "diverging": (None, "train --iters 9 --learning-rate 1e30 --warmup 0", "the loss is not finite"),
    "unknown language": (None, "train --language klingon", "unknown language 'klingon'"),
    "language not in the model": (None, "train --language yue", "this model does not know language 'yue'"),
    "nothing to do": (None, "neither", "nothing to do: give --train, --test or both"),
    "method of classify": (None, "train --fine-tune-type head", "head trains a classifier: use mlx_whisper_lora.cla"),
    "no folder to save in": (None, "train --adapter-file no/a.npz", "no/a.npz: the folder .* does not exist"),
    "a folder to save as": (None, "train --adapter-file clips", "clips: this is a folder"),
    "no model folder": (lambda: shutil.rmtree("model"), "train", "model: model not found"),
    "no config": (lambda: Path("model/config.json").unlink(), "train", "model: no config.json"),
    "config is no JSON": (lambda: cut("model/config.json", 0.5), "train", "config.json: not a Whisper configuration"),
    "no weights": (lambda: Path("model/weights.safetensors").unlink(), "train", "model: no weights; expected one of"),
    "half the weights": (lambda: cut("model/weights.safetensors", 0.5), "train", "weights.safetensors: damaged or cut"),
    "an adapter as the model": (None, "train --model a.npz", "a.npz: this is an adapter or a part of a model, not"),
    "no adapter": (None, "test --adapter-file b.npz", "b.npz: no such adapter file"),
    "half an adapter": (lambda: cut("a.npz", 0.5), "test", "a.npz: .* damaged or cut short"),
    "other dimensions": (
        other_dimensions, "test",
        r"trained on .*/model \(n_audio_state 64\) and does not fit model \(n_audio_state 128\)",
    ),
    "resume on other weights": (
        same_dimensions_other_weights, "train --resume-adapter-file a.npz",
        "this adapter was trained on .*/model .weights .*, and model has the same dimensions but other weights",
    ),
    "fuse: other dimensions": (other_dimensions, "fuse", "trained on .*/model .* and does not fit model"),
    "fuse: other weights": (same_dimensions_other_weights, "fuse", "same dimensions but other weights"),
    "fuse: the base is gone": (
        lambda: Path("model").rename("moved"), "fuse_alone", "a.npz: this adapter names its base .*/model, which is",
    ),
    "test: the base is gone": (
        lambda: Path("model").rename("moved"), "test_alone", "a.npz: this adapter names its base .*/model, which is",
    ),
    "fuse: half an adapter": (lambda: cut("a.npz", 0.5), "fuse", "a.npz: .* damaged or cut short"),
    "fuse: no adapter": (lambda: Path("a.npz").unlink(), "fuse", "a.npz: no such adapter file"),
    "fuse: over a file": (lambda: Path("fused").write_text(""), "fuse", "fused: this is not a folder; give another"),
    "fuse: over a device": (None, "fuse --save-path /dev/stdout", ": this is not a folder; give another"),
    "an adapter over a device": (None, "train --adapter-file /dev/null", "/dev/null: this is a device or a pipe"),
    "the newest adapter over a device": (
        lambda: Path("b_last.npz").symlink_to("/dev/null"), "train --adapter-file b.npz", "b_last.npz: this is a dev",
    ),
    "inspect: no data folder": (lambda: shutil.rmtree("clips"), "inspect", "clips: no such data folder"),
    "inspect: a table": (None, "inspect --data clips/train.jsonl", "jsonl: a file, not a data folder; give the fold"),
    "inspect: no table": (
        lambda: (table(), Path("clips/metadata.jsonl").unlink()), "inspect", "clips: no clips; found 3 .wav files",
    ),
    "inspect: not a table": (
        lambda: Path("clips/train.jsonl").write_bytes(b"\xff\xfe"), "inspect", r"train\.jsonl: UTF-16 text; save the",
    ),
    "inspect: a wrong option of columns": (
        None, "inspect --text-column a --translation-column b", "--text-column and --translation-column exclude each",
    ),
    "inspect: no Common Voice": (
        None, "inspect --common-voice-validated", "--common-voice-validated is for Common Voice .*; clips is not one",
    ),
    "inspect: no suspects": (None, "inspect --model model --suspects 0", "--suspects must be at least 1, got 0"),
    "inspect: clips without a model": (None, "inspect --max-clips 5", "--max-clips limits the work of a model: give"),
    "inspect: unknown language": (None, "inspect --language klingon", "unknown language 'klingon'"),
    "inspect: no model": (lambda: shutil.rmtree("model"), "inspect --model model", "model: model not found"),
    "inspect: no folder to write in": (None, "inspect --html no/a.html", "no/a.html: the folder .* does not exist"),
    "inspect: over a folder": (
        lambda: Path("a.json").mkdir(), "inspect --json a.json", "a.json: this is a folder",
    ),
    "an adapter over a recording": (
        None, "train --overwrite --adapter-file clips/1.wav", r"1\.wav: this is a recording, .* it is not replaced",
    ),
}  # fmt: skip


def case_of(name: str) -> tuple[Callable, ModuleType, tuple[str, ...], str]:
    spoil, line, message = CASES[name]
    command, arguments = COMMANDS[line.split()[0]]
    return spoil or (lambda: None), command, (*arguments, *line.split()[1:]), message


@pytest.mark.parametrize("case", CASES)
def test_one_clear_line(case, place, run_main):
    spoil, command, arguments, message = case_of(case)
    spoil()
    before = files(place)
    outcome = run_main(command, *arguments)
    check(outcome, command.build_parser().prog, message)
    after = files(place)
    # Training had begun: the adapter of the last whole step is kept.
    new = {"adapters.yaml", "adapters_last.npz", "adapters_metrics.jsonl"} if case == "diverging" else set()
    assert after.keys() - before.keys() <= new and {name: after[name] for name in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("case", ["text called .wav", "half the weights"])
def test_one_clear_line_from_a_real_process(case, place):
    spoil, command, arguments, message = case_of(case)
    spoil()
    outcome = run_python("-m", command.__name__, *arguments)
    check(outcome, command.build_parser().prog, message)


def test_all_clips_that_cannot_be_used_are_reported_at_once_and_can_be_skipped(place, run_main):
    good = {"audio": "0.wav", "text": "one", "language": "en"}
    rows = [good, {**good, "audio": "9.wav"}, {**good, "language": "klingon"}, {**good, "audio": "1.wav"}, good]
    write_jsonl(Path("clips/train.jsonl"), rows)
    Path("clips/1.wav").write_text("hello")
    Path("clips/2.wav").write_bytes(b"")
    before = files(place)
    outcome = run_main(lora, *TRAIN, "--test")
    lines = outcome.err.splitlines()
    assert outcome.code == 1 and files(place) == before
    assert lines[0] == (
        "mlx_whisper_lora.lora: error: 4 clips cannot be used; correct them, or skip them with --skip-bad:"
    )
    reasons = [
        "train.jsonl, line 2: there is no recording clips/9.wav;",
        "train.jsonl, line 3: unknown language 'klingon': give a code",
        "train.jsonl, line 4: clips/1.wav: not a readable audio file",
        "test.jsonl, line 1: clips/2.wav: the file is empty",
    ]
    for line, reason in zip(lines[1:], reasons, strict=True):
        assert line.startswith(f"  clips/{reason}")

    write_jsonl(Path("clips/test.jsonl"), [good])
    outcome = run_main(lora, *TRAIN, "--test", "--skip-bad")
    assert (outcome.code, outcome.err) == (0, "")
    skipped = outcome.out.splitlines()
    start = skipped.index("Clips that cannot be used, and are skipped: 3")
    assert skipped[start + 1 : start + 4] == lines[1:4]
    assert "Training: 1 steps of 2 clips, 1.0 passes over 2 clips" in skipped


def test_values_that_are_not_numbers_are_reported(place, run_main, capsys):
    with pytest.raises(SystemExit) as ending:
        lora.build_parser().parse_args(["--train", "--iters", "many"])
    assert ending.value.code == 2
    assert "--iters: expected a whole number, got 'many'" in capsys.readouterr().err


# A disk that is full: every file that the process writes may grow to so many bytes only.
LIMITED = (
    "import resource, sys\n"
    "from mlx_whisper_lora import {command}\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    "sys.argv[0] = 'x'\n"
    "{command}.cli()\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 8000])
def test_an_adapter_that_cannot_be_written_leaves_the_old_one(size, place):
    before = files(place)
    outcome = run_python(
        "-c", LIMITED.format(command="lora", size=size), *TRAIN, "--adapter-file", "a.npz", "--overwrite"
    )
    check(outcome, "mlx_whisper_lora.lora", "File too large")
    after = files(place)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"a.yaml", "a_metrics.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [1000, 5_000_000])
def test_a_model_that_cannot_be_written_leaves_nothing(size, place):
    before = files(place)
    outcome = run_python("-c", LIMITED.format(command="fuse", size=size), *FUSE)
    check(outcome, "mlx_whisper_lora.fuse", "File too large")
    assert files(place) == before and not Path("fused").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=16k") != 0:
        pytest.skip("mounting a small file system takes root")
    yield folder
    libc.umount(os.fsencode(folder))


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs POSIX")
def test_a_full_disk_while_training(place, small_disk, run_main):
    outcome = run_main(lora, *TRAIN, "--lora-rank", "32", "--adapter-file", small_disk / "b.npz")
    check(outcome, "mlx_whisper_lora.lora", "No space left on device")
    assert {path.name for path in small_disk.iterdir()} <= {"b.yaml", "b_metrics.jsonl"}


def test_a_full_disk_while_fusing(place, small_disk, run_main):
    outcome = run_main(fuse, *FUSE[:-1], small_disk / "fused")
    check(outcome, "mlx_whisper_lora.fuse", "No space left on device")
    assert list(small_disk.iterdir()) == []


def test_a_reader_sees_the_old_adapter_while_a_new_one_is_written(place):
    """Written beside its place and renamed, so the name never holds half a file."""
    before = Path("a.npz").read_bytes()
    descriptor = os.open("a.npz", os.O_RDONLY)
    write_adapter(Path("a.npz"))
    assert os.read(descriptor, len(before) + 1) == before
    os.close(descriptor)
    assert mx.load("a.npz").keys() == np.load("a.npz").keys()


def test_clips_over_30_seconds_are_dropped_and_the_rest_is_used(place, run_main):
    soundfile.write("clips/0.wav", np.zeros(62_000), 2000)
    soundfile.write("clips/2.wav", tone(0.5), 16000)
    outcome = run_main(lora, *TRAIN)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Left out 1 train clips (longer than 1.5 s), such as clips/0.wav" in outcome.out


def test_names_of_clips_do_not_control_the_terminal(place, run_main):
    soundfile.write("clips/\x1b[2J.wav", np.zeros(62_000), 2000)
    rows = [{"audio": name, "text": "one", "language": "en"} for name in ("\x1b[2J.wav", "1.wav")]
    write_jsonl(Path("clips/train.jsonl"), rows)
    outcome = run_main(lora, *TRAIN)
    assert outcome.code == 0 and "such as clips/\\x1b[2J.wav\n" in outcome.out
