"""Transcripts as HTML: a line for each segment. Words in which two transcripts differ are marked."""

import re
from collections.abc import Collection
from html import escape
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

_WORD = re.compile(r"\s*\S+")


class Differences(NamedTuple):
    """The numbers of the words, counted from the first one of a transcript, that the other transcript lacks."""

    first: set[int]
    second: set[int]


def transcript_html(result: dict, marked: Collection[int] = ()) -> str:
    """Return a transcript as HTML.

    Args:
        result: a result of `transcribe`.
        marked: the numbers of the words to mark.
    """
    lines, number = [], 0
    for segment in result["segments"]:
        words = []
        for word in _segment_words(segment):
            bare = word.lstrip()
            text = f"<mark>{escape(bare)}</mark>" if number in marked else escape(bare)
            words.append(word[: len(word) - len(bare)] + text)
            number += 1
        if words:
            lines.append(f'<p dir="auto" lang="{escape(result["language"])}">{"".join(words).strip()}</p>')
    return "\n".join(lines)


def find_differences(first: dict, second: dict) -> Differences:
    """Compare the words of two results of `transcribe`. Case and punctuation count."""
    texts = [
        [word.strip() for segment in each["segments"] for word in _segment_words(segment)] for each in (first, second)
    ]
    found = Differences(set(), set())
    for change in LCSseq.editops(*texts):
        if change.tag == "delete":
            found.first.add(change.src_pos)
        else:
            found.second.add(change.dest_pos)
    return found


def word_rows(result: dict) -> list[list[str]]:
    """Return a row for each word that is timed: the word, and its start and end in seconds."""
    words = (word for segment in result["segments"] for word in segment.get("words", []))
    return [[word["word"].strip(), f"{word['start']:.2f}", f"{word['end']:.2f}"] for word in words]


def _segment_words(segment: dict) -> list[str]:
    """Return the words of a segment with the space before them. Words that are timed fit languages without spaces."""
    if "words" in segment:
        return [word["word"] for word in segment["words"] if word["word"].strip()]
    return _WORD.findall(segment["text"])
