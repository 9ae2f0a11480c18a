"""Tables of clips with rows that are broken in many ways, among rows that are right."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tools.fuzz.case import Case, Goods, Outcome, unless_refused

TEXTS = (
    "one",
    "two, three",
    'she said "four"',
    "five; six",
    "seven\teight",
    "నమస్కారం",
    "",
    "  nine ",
    "it's",
    "null",
    "1",
)
RECORDING = "pcm_16.wav"

_CsvRow = Callable[[str, str], str]  # from the name of a recording and a separator
BROKEN_CSV: dict[str, _CsvRow] = {
    "too many fields": lambda name, mark: mark.join([name, "Hello", " world"]),
    "too few fields": lambda name, mark: name,
    "no recording": lambda name, mark: mark.join(["missing.wav", "x"]),
    "no name": lambda name, mark: mark.join(["", "x"]),
    "a folder": lambda name, mark: mark.join([".", "x"]),
    "not audio": lambda name, mark: mark.join(["metadata.csv", "x"]),
    "lone quote": lambda name, mark: mark.join([name, '"a" b']),
    "control character": lambda name, mark: mark.join([name, "a\0b"]),
}
BROKEN_JSON: dict[str, Callable[[str], str]] = {
    "not JSON": lambda name: "{'file_name': 'x'}",
    "half a row": lambda name: json.dumps({"file_name": name, "text": "x"})[:-5],
    "a list": lambda name: json.dumps([name, "x"]),
    "no text": lambda name: json.dumps({"file_name": name}),
    "a number": lambda name: json.dumps({"file_name": name, "text": 1}),
    "no recording": lambda name: json.dumps({"file_name": "missing.wav", "text": "x"}),
    "two texts": lambda name: f'{{"file_name": "{name}", "text": "x", "text": "y"}}',
    "end before start": lambda name: json.dumps({"file_name": name, "text": "x", "start": 0.2, "end": 0.1}),
    "NaN": lambda name: f'{{"file_name": "{name}", "text": "x", "start": NaN}}',
    "language": lambda name: json.dumps({"file_name": name, "text": "x", "language": "klingon"}),
    "half a pair": lambda name: f'{{"file_name": "{name}", "text": "\\ud800"}}',
    "deep": lambda name: "[" * 100_000,
    "after the end": lambda name: json.dumps({"file_name": name, "text": "x", "start": 5.0}),
}
UNREADABLE = {  # encodings that no table may have
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.encode("latin-1", errors="replace") + b"caf\xe9\n",
}


def broken_table(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Write a table of some good rows and some broken ones."""
    audio = (goods.folder / "audio" / RECORDING).read_bytes()
    kind = ("csv", "tsv", "jsonl")[random.integers(3)]
    mark = "\t" if kind == "tsv" else ",;"[random.integers(2)]
    broken = BROKEN_JSON if kind == "jsonl" else BROKEN_CSV
    has_sentence = random.random() < 0.3
    rows, good, bad = [], [], []
    for number in range(random.integers(1, 12)):
        name = f"{number}.wav"
        (folder / name).write_bytes(audio)
        if random.random() < 0.3:
            bad.append(list(broken)[random.integers(len(broken))])
            row = broken[bad[-1]](name) if kind == "jsonl" else broken[bad[-1]](name, mark)
            rows.append(f"{row}{mark}" if has_sentence and kind != "jsonl" else row)
            continue
        text = TEXTS[random.integers(len(TEXTS))]
        good.append([name, text.strip()])
        # An empty column of text beside a full one does not count.
        row = {"file_name": name, "sentence": text, "text": ""} if has_sentence else {"file_name": name, "text": text}
        rows.append(json.dumps(row) if kind == "jsonl" else _csv_row(list(row.values()), mark))
    columns = ["file_name", "sentence", "text"] if has_sentence else ["file_name", "text"]
    header = [] if kind == "jsonl" else [mark.join(columns)]
    end = ("\n", "\r\n")[random.integers(2)]
    text = end.join([*header, *rows]) + end * int(random.integers(0, 3))
    path = folder / f"metadata.{kind}"
    unclosed = kind != "jsonl" and random.random() < 0.1
    if unclosed:
        text = text.replace(f"0.wav{mark}", f'0.wav{mark}"', 1) if f'0.wav{mark}"' not in text else text
    wrong = _unless_a_part_of(good) if unclosed else _unless_exact(good, bad)
    encode = UNREADABLE[list(UNREADABLE)[random.integers(len(UNREADABLE))]]
    if random.random() < 0.1:
        path.write_bytes(encode(text))
        wrong = unless_refused
    else:
        path.write_bytes(text.encode("utf-8-sig" if random.random() < 0.3 else "utf-8"))
    return Case(f"table {kind}", "table", [str(folder)], str(folder), wrong)


def _csv_row(values: list[str], mark: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=mark, lineterminator="").writerow(values)
    return buffer.getvalue()


def _unless_exact(good: list[list[str]], bad: list[str]) -> Callable[[Outcome], str | None]:
    """Return what says that other clips were read than the good ones, or that bad rows were not reported."""

    def wrong(outcome: Outcome) -> str | None:
        if outcome.how == "refused":
            return None if bad and not good else f"was refused as a whole: {outcome.message}"
        if sorted(outcome.facts["clips"]) != sorted(good):
            return f"{sorted(outcome.facts['clips'])} in the place of {sorted(good)}, bad: {bad}"
        reported = outcome.facts["bad"]
        return None if len(reported) == len(bad) else f"{len(bad)} rows are bad ({bad}), and reported: {reported}"

    return wrong


def _unless_a_part_of(good: list[list[str]]) -> Callable[[Outcome], str | None]:
    """Return what says that a clip was read that is not one of the good ones."""

    def wrong(outcome: Outcome) -> str | None:
        others = [] if outcome.how == "refused" else [clip for clip in outcome.facts["clips"] if clip not in good]
        return f"read {others}" if others else None

    return wrong
