"""Report what is unusual about the texts of clips, and what cleaning changes in them."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from mlx_whisper_lora.data.clip import Clip, Splits
from mlx_whisper_lora.data.texts import (
    NOT_NFC,
    clean_text,
    hidden_characters,
    is_plain,
    language_scripts,
    main_script,
)

_EXAMPLES = 3
_SHOWN, _BEFORE_CHANGE = 80, 20  # characters of a text, and of those before its first change


class OtherScript(NamedTuple):
    """A clip whose text is in another script than that of its language."""

    clip: Clip
    language: str
    script: str


@dataclass(frozen=True)
class TextReport:
    """What is unusual about the texts of a data set."""

    n_texts: int  # that are not empty
    hidden: list[Clip]  # with characters that cannot be seen, or letters that are not composed
    other_script: list[OtherScript]
    cleaned: list[tuple[Clip, str]] | None  # with the texts that take the place of theirs; None without cleaning

    def lines(self) -> Iterator[str]:
        """Yield lines for the terminal. There are none if nothing is unusual, and texts are not to be cleaned."""
        hidden = ", ".join(f"{count} x {name}" for name, count in _count_hidden(self.hidden).most_common())
        if self.cleaned is None and self.hidden:
            yield (
                f"Note: {len(self.hidden)} of {self.n_texts} texts hold what cannot be seen ({hidden}), such as that "
                f"of {self.hidden[0].name}; --normalize-text removes it"
            )
        elif self.cleaned is not None:
            found = f" ({hidden})" if hidden else ""
            yield f"--normalize-text changes {len(self.cleaned)} of {self.n_texts} texts{found}"
            yield from _change_lines(self.cleaned)
        if self.other_script:
            yield _script_line(self.other_script, self.n_texts)


def report_texts(splits: Splits, language_of: Callable[[Clip], str | None], cleans: bool) -> TextReport:
    """Look at all texts.

    Args:
        splits: The clips.
        language_of: Returns the code of the language that the text of a clip is in, or None if it is not known.
        cleans: Whether `clean_texts` will be called.
    """
    clips = [clip for found in splits.values() for clip in found if clip.text]
    hidden = [clip for clip in clips if not is_plain(clip.text)]
    changes = [(clip, clean_text(clip.text)) for clip in clips] if cleans else []
    cleaned = [(clip, text) for clip, text in changes if text != clip.text] if cleans else None
    return TextReport(len(clips), hidden, list(_find_other_scripts(clips, language_of)), cleaned)


def clean_texts(splits: Splits) -> Splits:
    """Return clips with clean texts, as `clean_text` makes them."""
    return {split: [replace(clip, text=clean_text(clip.text)) for clip in clips] for split, clips in splits.items()}


def _count_hidden(clips: Sequence[Clip]) -> Counter[str]:
    """Count hidden characters by their names, and texts with letters that are not composed."""
    counts: Counter[str] = Counter()
    for clip in clips:
        counts += hidden_characters(clip.text)
        if not unicodedata.is_normalized("NFC", clip.text):
            counts[f"text {NOT_NFC}"] += 1
    return counts


def _find_other_scripts(clips: Sequence[Clip], language_of: Callable[[Clip], str | None]) -> Iterator[OtherScript]:
    alphabet = set().union(*(clip.text for clip in clips))
    foreign: dict[str, set[str]] = {}  # the letters of other scripts, for each language: few texts have any
    for clip in clips:
        language = language_of(clip)
        if not language or not (expected := language_scripts(language)):
            continue
        if language not in foreign:
            foreign[language] = {letter for letter in alphabet if main_script(letter) not in (None, *expected)}
        if foreign[language].isdisjoint(clip.text):
            continue
        script = main_script(clip.text)
        if script and script not in expected:
            yield OtherScript(clip, language, script)


def _script_line(found: Sequence[OtherScript], n_texts: int) -> str:
    examples = ", ".join(f"{each.clip.name} ({each.clip.text[:_SHOWN]})" for each in found[:_EXAMPLES])
    (language, script), _ = Counter((each.language, each.script) for each in found).most_common(1)[0]
    expected = " or ".join(language_scripts(language)).title()
    return (
        f"Note: {len(found)} of {n_texts} texts are in another script than that of their language (most: "
        f"{script.title()}, but {language} has {expected}), such as {examples}"
    )


def _change_lines(cleaned: Sequence[tuple[Clip, str]]) -> Iterator[str]:
    """Yield the first few texts before and after, and the number of those that nothing is left of."""
    for clip, after in cleaned[:_EXAMPLES]:
        same = next((i for i, pair in enumerate(zip(clip.text, after, strict=False)) if len(set(pair)) > 1), len(after))
        first = max(same - _BEFORE_CHANGE, 0)
        yield f"  {clip.name}"
        yield f"    before: {_escape_changes(clip.text[first : first + _SHOWN], after[first:])}"
        yield f"    after:  {after[first : first + _SHOWN]}"
    if empty := [clip for clip, after in cleaned if not after]:
        yield f"Note: {len(empty)} texts are empty then, such as that of {empty[0].name}; they count as silence"


def _escape_changes(before: str, after: str) -> str:
    r"""Return a text with escapes such as \u200b for the characters that another one lacks."""
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    parts = (
        before[start:stop] if kind == "equal" else before[start:stop].encode("unicode_escape").decode()
        for kind, start, stop, _, _ in changes
    )
    return "".join(parts)
