"""Describe an inspection as lines for the terminal, and as JSON."""

import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from mlx_whisper_lora.data.clip import SPLITS, Clip
from mlx_whisper_lora.data.inspection.findings import KINDS, Finding
from mlx_whisper_lora.data.inspection.inspect import Inspection
from mlx_whisper_lora.whisper.audio.load import source_name

_EXAMPLES = 3  # of each kind of finding, in the terminal
_SUSPECTS = 10  # texts that a model does not hear, in the terminal
_LONGEST = 200  # characters of a text or a reason in the terminal


def summary_lines(inspection: Inspection) -> Iterator[str]:
    """Yield the lines of a summary, without the findings."""
    for split in SPLITS:
        clips = [each for each in inspection.clips if each.split == split]
        speakers = {each.clip.speaker for each in clips if each.clip.speaker}
        hours = sum(each.audio.seconds for each in clips) / 3600
        yield f"{split}: {_count(clips)}, {hours:.2f} hours{', ' + _count(speakers, 'speaker') if speakers else ''}"
    clips = inspection.clips
    if not clips:
        return
    yield f"length: {_spread([each.audio.seconds for each in clips])} seconds"
    if rates := [each.rate for each in clips if each.rate]:
        yield f"characters a second: {_spread(rates)}"
        yield f"tokens of a text: {_spread([each.n_tokens for each in clips if each.clip.text])}"
    yield f"languages: {_counts([each.clip.language or 'unknown' for each in clips])}"
    yield f"scripts: {_counts([each.script.title() for each in clips if each.script]) or 'none'}"
    yield f"sample rates: {_counts([f'{each.audio.rate} Hz' if each.audio.rate else 'unknown' for each in clips])}"


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each kind of finding, and lines with examples."""
    for kind, found in by_kind(findings).items():
        yield heading(kind, found)
        shown = _SUSPECTS if kind == "mismatch" else _EXAMPLES
        for each in found[:shown]:
            where = f"{each.clip.name} ({each.split}): " if each.clip else ""
            yield f"  {where}{each.detail[:_LONGEST]}"
            if each.clip and each.heard is not None:
                yield f"    text:  {each.clip.text[:_LONGEST]}"
                yield f"    heard: {each.heard[:_LONGEST]}"
        if len(found) > shown:
            yield f"  and {len(found) - shown} more"


def by_kind(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Return the findings of each kind that there are any of, in the order of KINDS."""
    found = {kind: [each for each in findings if each.kind == kind] for kind in KINDS}
    return {kind: them for kind, them in found.items() if them}


def heading(kind: str, found: Sequence[Finding]) -> str:
    """Return the line that says how many findings of a kind there are."""
    return f"{KINDS[kind]}: {_count(found)}"


def to_json(inspection: Inspection) -> dict[str, Any]:
    """Return an inspection as an object for JSON: the measures of every clip, and all findings."""
    return {
        "folder": inspection.folder,
        "summary": list(summary_lines(inspection)),
        "findings": [
            {"kind": each.kind, "detail": each.detail, "heard": each.heard, **_clip_fields(each.clip, each.split)}
            for found in by_kind(inspection.findings).values()
            for each in found
        ],
        "clips": [
            {
                **_clip_fields(each.clip, each.split),
                **each.audio._asdict(),
                "script": each.script,
                "tokens": each.n_tokens,
                "characters_per_second": each.rate,
            }
            for each in inspection.clips
        ],
    }


def _clip_fields(clip: Clip | None, split: str | None) -> dict[str, Any]:
    if clip is None:
        return {}
    return {
        "audio": source_name(clip.audio),
        "start": clip.start,
        "end": clip.end,
        "split": split,
        "row": clip.origin,
        "text": clip.text,
        "language": clip.language,
        "task": clip.task,
        "speaker": clip.speaker,
    }


def _count(items: Collection[object], noun: str = "clip") -> str:
    return f"{len(items)} {noun}{'s'[: len(items) != 1]}"


def _counts(values: Sequence[str]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in Counter(values).most_common())


def _spread(values: Sequence[float]) -> str:
    low, middle, high = (round(value, 1) for value in (min(values), statistics.median(values), max(values)))
    return f"{low:g} to {high:g}, median {middle:g}"
