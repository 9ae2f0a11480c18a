"""Print, and write to files, what `classify` finds."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from mlx_whisper_lora.adapters.classify import LoadedClassifier
from mlx_whisper_lora.cli.recordings import find_recordings
from mlx_whisper_lora.cli.run import print_error
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.html import MOST_AUDIO, PAGE_END, labeled_text, page_start, player
from mlx_whisper_lora.training.class_evaluation import ClassEvaluation
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.terminal import say

_SHOWN_CLASSES = 5  # of a recording
_MOST_COLUMNS = 20  # of a confusion matrix that is printed
_MOST_WRONG = 100  # clips on the page


def classify_recordings(classifier: LoadedClassifier, given: Sequence[str], json_file: str | None) -> int:
    """Print the classes of recordings with their probabilities. Return 1 if one of them failed, else 0.

    Args:
        classifier: names the classes.
        given: files, or patterns.
        json_file: a file for all probabilities, or None.

    Raises:
        AudioError: no recording exists.
    """
    found: dict[str, Any] = {}
    failed = False
    for recording in find_recordings(given):
        try:
            probs = classifier.classify(recording)
        except (AudioError, OSError) as error:
            print_error("mlx_whisper_lora.classify", error)
            failed = True
            continue
        found[recording] = {name: round(probability, 6) for name, probability in probs.items()}
        shown = [f"{name} {100 * probability:.1f} %" for name, probability in probs.items()][:_SHOWN_CLASSES]
        say(f"{recording}: {', '.join(shown)}")
    if json_file:
        _write_json(json_file, found)
    return int(failed)


def report_test(
    result: ClassEvaluation, majority: ClassEvaluation, clips: Sequence[Clip], json_file: str | None, html: str | None
) -> None:
    """Print how well clips were named, and write it to the files that are given.

    Args:
        result: of the classifier.
        majority: of naming the most frequent class.
        clips: that were named.
        json_file, html: the files, or None.
    """
    lines, confusion = _rate_lines(result, majority), _confusion_lines(result)
    for line in (*lines, *confusion):
        print(line)
    if json_file:
        numbers = result.to_json()
        named = [{"clip": clip.name, **each} for clip, each in zip(clips, numbers["clips"], strict=True)]
        _write_json(json_file, numbers | {"majority": majority.numbers, "clips": named})
        say(f"Numbers of the test: {json_file}")
    if html:
        with atomic_write(html) as file:
            file.write(_page(result, lines, clips))
        say(f"Page on the test: {html}")


def _rate_lines(result: ClassEvaluation, majority: ClassEvaluation) -> list[str]:
    """Return the lines on a test: rates with intervals, accuracy by length, and calibration."""
    groups = len(set(result.groups))
    over = f"{groups} speakers" if groups < len(result.labels) else f"{groups} clips"
    lines = [
        f"Test loss {result.loss:.3f}, {result.describe()} (95 % intervals, by a bootstrap over {over})",
        f"The most frequent class for every clip: {majority.summary()}",
    ]
    for (low, high), (count, accuracy) in result.by_duration().items():
        span = f"over {low:g} s" if high == float("inf") else f"{low:g} to {high:g} s"
        lines.append(f"Clips of {span}: {count}, accuracy {accuracy:.2f} %")
    before, after = result.calibration_error(1.0), result.calibration_error(result.temperature)
    lines.append(
        f"Calibration error of the probabilities {after:.1f} % with the temperature {result.temperature:g} of the "
        f"validation clips, {before:.1f} % without"
    )
    return lines


def _confusion_lines(result: ClassEvaluation) -> list[str]:
    """Return the confusion matrix as a table, or nothing if it is too wide."""
    if len(result.classes) > _MOST_COLUMNS:
        return [f"The confusion matrix of {len(result.classes)} classes is in the files of --json and --html"]
    wide = max(map(len, result.classes))
    width = max(wide, len(str(result.confusion.max()))) + 1
    header = " " * wide + "".join(name.rjust(width) for name in result.classes)
    rows = [
        name.ljust(wide) + "".join(str(count).rjust(width) for count in counts)
        for name, counts in zip(result.classes, result.confusion.tolist(), strict=True)
    ]
    return ["Clips of each class (rows) that were taken for each class (columns):", header, *rows]


def _page(result: ClassEvaluation, lines: Sequence[str], clips: Sequence[Clip]) -> str:
    """Return a page with the confusion matrix, and the clips that were taken for others."""
    parts = [page_start("Test of a classifier", lines), _confusion_table(result)]
    wrong = [
        (clip, label, named)
        for clip, label, named in zip(clips, result.labels, result.hypotheses, strict=True)
        if label != named
    ]
    parts.append(f"<h2>Clips that were taken for others: {len(wrong)} of {len(clips)}</h2>\n")
    left = MOST_AUDIO
    for clip, label, named in wrong[:_MOST_WRONG]:
        audio = player(clip) if left > 0 else ""
        left -= len(audio)
        texts = labeled_text("label", label, None) + labeled_text("named", named, None)
        parts.append(f"<article><h3>{escape(clip.name)}</h3>\n{audio}{texts}</article>\n")
    return "".join([*parts, PAGE_END])


def _confusion_table(result: ClassEvaluation) -> str:
    """Return the confusion matrix as a table whose cells are the darker, the more clips of their row they have."""
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in result.classes)
    rows = []
    for number, (name, counts) in enumerate(zip(result.classes, result.confusion.tolist(), strict=True)):
        total = sum(counts) or 1
        cells = "".join(
            f'<td style="text-align:center;background:rgb({"58 166 85" if column == number else "224 117 45"} / '
            f'{0.8 * count / total:.2f})">{count}</td>'
            for column, count in enumerate(counts)
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>\n')
    caption = "Clips of each class (rows) that were taken for each class (columns)"
    table = f"<table><caption>{caption}</caption><tr><td></td>{header}</tr>\n{''.join(rows)}</table>\n"
    return f"<h2>Confusion matrix</h2>\n{table}"


def _write_json(path: str, values: Any) -> None:
    with atomic_write(path) as file:
        json.dump(values, file, ensure_ascii=False, indent=1)
        file.write("\n")
