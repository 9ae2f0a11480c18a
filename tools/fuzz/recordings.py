"""Recordings that are joined, chained or cut off, and names that a terminal or a shell would obey."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from mlx_whisper_lora.whisper.terminal import terminal_text
from tools.fuzz.case import Case, Goods, Outcome, unless_refused
from tools.fuzz.good_files import SECONDS

TOLERANCE = 0.06  # seconds of padding that an encoder adds to each recording, or leaves out
_DEMO = DEMO_RECORDING / "recording.opus"
_NAMES = (
    *("\x1b[31mred", "\x1b]0;title\x07", "two\nlines", "a\rb", "tab\tbed", "\u202egnp.exe", "\u2028line", ""),
    *("%s%n", "{0}", "*", "[ab]", "?", "~", "$HOME", "`id`", "; rm -rf x", "a|b", "a & b", "'", '"', "\\", "a:b"),
    *("-rf", "--model", ".hidden", "..", "...", "CON", "x.npz", "x.partial", "http:__x", "pipe:1", "concat:a|b"),
    *("e\u0301", "\U0001f3a4", "\udcff\udcfe", "\u0627\u200f", "n" * 200, " ", "a  b ", "\x7f", "\x85"),
)


def _audio_files(goods: Goods) -> list[Path]:
    return sorted((goods.folder / "audio").iterdir())


def _unless_as_long(seconds: float, parts: int, or_refused: bool) -> Callable[[Outcome], str | None]:
    """Return what says that a recording was read in another length. It may be refused, or not."""

    def wrong(outcome: Outcome) -> str | None:
        if outcome.how == "refused":
            return None if or_refused else f"was refused: {outcome.message}"
        found = outcome.facts["seconds"]
        ok = abs(found - seconds) <= TOLERANCE * parts
        return None if ok else f"{found:.2f} s in the place of {seconds:.2f}"

    return wrong


def joined(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Join recordings of one format or of several, as `cat` does. They are read to the end."""
    files = _audio_files(goods)
    first = files[random.integers(len(files))]
    others = [first] if random.random() < 0.7 else files
    chosen = [first, *(others[random.integers(len(others))] for _ in range(random.integers(1, 4)))]
    path = folder / f"joined{first.suffix}"
    path.write_bytes(b"".join(file.read_bytes() for file in chosen))
    wrong = _unless_as_long(SECONDS * len(chosen), len(chosen), or_refused=False)
    return Case(f"joined {first.name}", "audio", [str(path)], str(folder), wrong)


def cut(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Cut a recording, or the last of several, in two, and keep the first part."""
    files = _audio_files(goods)
    file = files[random.integers(len(files))]
    data = file.read_bytes()
    before = int(random.integers(0, 3))
    path = folder / f"cut{file.suffix}"
    path.write_bytes(data * before + data[: int(len(data) * random.uniform(0.05, 0.95))])
    wrong = _unless_as_long(SECONDS * (before + 1), before + 1, or_refused=True)
    return Case(f"cut {file.name}", "audio", [str(path)], str(folder), wrong)


def hostile_name(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Give a recording, and the model or the folder for transcripts, a hostile name, and run `transcribe`."""
    names = [_NAMES[random.integers(len(_NAMES))] for _ in range(3)]
    model, out = folder / f"m{names[0]}"[:250], folder / f"o{names[1]}"[:250]
    model.symlink_to(goods.folder / "demo")
    recording = folder / f"{names[2] if names[2].strip('.') else 'dots' + names[2]}.opus"
    good = random.random() < 0.6
    recording.write_bytes(_DEMO.read_bytes() if good else random.bytes(1000))
    given = ["--model", str(model), "--output-dir", str(out), "--audio", str(recording), "--clip-timestamps", "0,3"]

    def wrong(outcome: Outcome) -> str | None:
        facts = outcome.facts
        shown = facts["out"] + facts["err"]
        if unsafe := next((line for line in shown.split("\n") if terminal_text(line) != line), None):
            return f"printed {unsafe!r}"
        if facts["code"] != (0 if good else 1):
            return f"exit code {facts['code']}: {shown[-300:]}"
        written = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
        expected = [f"{recording.name.removesuffix('.opus')}.txt"] if good else []
        if written != expected:
            return f"wrote {written} in the place of {expected}"
        if not good and terminal_text(recording.name.replace("\n", " ")) not in facts["err"]:
            return f"no name in {facts['err'][:300]!r}"
        return None

    return Case("hostile name", "transcribe", given, "", wrong)


def other_file(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Hand in a file that is no recording: text, a table, weights, a list of recordings for ffmpeg."""
    contents = {
        "words.txt": b"Hello, world.\n" * int(random.integers(1, 400)),
        "list.m3u8": b"#EXTM3U\n#EXTINF:10,\naudio.wav\n#EXT-X-ENDLIST\n",
        "list.txt": b"ffconcat version 1.0\nfile 'audio.wav'\n",
        "page.mp3": b"<!DOCTYPE html><html><body>404</body></html>",
        "weights.wav": (goods.folder / "mlx" / "weights.safetensors").read_bytes(),
        "archive.ogg": (goods.folder / "adapter" / "adapter.npz").read_bytes(),
        "empty.wav": b"",
        "zeros.wav": bytes(int(random.integers(1, 100_000))),
        "noise.flac": random.bytes(int(random.integers(1, 100_000))),
    }
    name = list(contents)[random.integers(len(contents))]
    path = folder / name
    path.write_bytes(contents[name])
    return Case(f"no recording: {name}", "audio", [str(path)], str(folder), unless_refused)
