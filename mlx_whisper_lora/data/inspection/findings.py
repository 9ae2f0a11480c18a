"""Find the clips that a person should look at, and say why."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log

from mlx_whisper_lora.data.clip import SPLITS, Clip, Splits
from mlx_whisper_lora.data.content import find_duplicates
from mlx_whisper_lora.data.inspection.recordings import Measurement
from mlx_whisper_lora.data.texts import describe_hidden, language_scripts
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.text.normalizers import normalize_unicode

# What is the matter with the clips of each kind of finding. The order is that in which they are shown.
KINDS = {
    "bad": "Cannot be used",
    "mismatch": "The texts that fit worst, which may be those of other recordings; most may be right",
    "duplicate": "The audio of another clip",
    "long": f"Longer than {CHUNK_LENGTH} s, so that training leaves them out",
    "tokens": "Text of more tokens than a transcript can have, so that training leaves them out",
    "silent": "Text, but hardly any sound",
    "clipped": "Clipped audio: the recording level was too high",
    "rate": "Far more or fewer characters a second than the others",
    "script": "Text in another script than that of the language",
    "hidden": "Characters that cannot be seen, or letters that are not composed (NFC)",
    "empty": "No text, so that they count as silence",
    "text": "The text of a clip of an earlier split; case and punctuation do not count",
    "speaker": "The speaker of a clip of an earlier split",
    "sample_rate": "Another sample rate than most",
}
MAX_TOKENS = 224  # half of the text context of every Whisper
SILENT = -50  # dB below full scale
CLIPPED = 0.001  # of the samples
_UNUSUAL = 4.0  # robust standard deviations of the logarithm of characters a second
_FEWEST = 20  # clips, to say what is usual


@dataclass(frozen=True)
class Finding:
    """A reason to look at a clip."""

    kind: str  # a key of KINDS
    detail: str  # what was found
    clip: Clip | None = None  # None if a row could not be read as a clip
    split: str | None = None
    heard: str | None = None  # the text that a model hears, if one was asked


@dataclass(frozen=True)
class InspectedClip:
    """A clip and its measures."""

    clip: Clip
    split: str
    audio: Measurement
    script: str | None  # of most letters of the text
    n_tokens: int

    @property
    def rate(self) -> float | None:
        """The characters a second, or None if there is no text."""
        return len(self.clip.text) / self.audio.seconds if self.clip.text else None

    def finding(self, kind: str, detail: str) -> Finding:
        """Return a finding about the clip."""
        return Finding(kind, detail, self.clip, self.split)


def find_all(inspected: Sequence[InspectedClip]) -> list[Finding]:
    """Return all findings about clips that can be read."""
    splits: Splits = {split: [each.clip for each in inspected if each.split == split] for split in SPLITS}
    finders: tuple[Iterable[Finding], ...] = (
        (finding for each in inspected for finding in _of_clip(each)),
        _duplicates(splits),
        _unusual_rates(inspected),
        _shared(splits, "text", lambda clip: normalize_unicode(clip.text)),
        _shared(splits, "speaker", lambda clip: clip.speaker),
        _sample_rates(inspected),
    )
    return [each for found in finders for each in found]


def _of_clip(each: InspectedClip) -> Iterator[Finding]:
    """Yield the findings that do not depend on other clips."""
    clip, audio = each.clip, each.audio
    if audio.seconds > CHUNK_LENGTH:
        yield each.finding("long", f"{audio.seconds:.1f} s")
    if each.n_tokens > MAX_TOKENS:
        yield each.finding("tokens", f"{each.n_tokens} tokens; at most {MAX_TOKENS}")
    if clip.text and audio.level < SILENT:
        yield each.finding("silent", f"{audio.level:.0f} dB")
    if audio.clipped > CLIPPED:
        yield each.finding("clipped", f"{100 * audio.clipped:.1f} % of the samples are at full scale")
    language = clip.text_language
    expected = language_scripts(language) if language else ()
    if expected and each.script and each.script not in expected:
        yield each.finding("script", f"{each.script.title()}; {language} has {' or '.join(expected).title()}")
    if hidden := describe_hidden(clip.text):
        yield each.finding("hidden", ", ".join(hidden))
    if not clip.text:
        yield each.finding("empty", f"{audio.seconds:.1f} s, {audio.level:.0f} dB")


def _duplicates(splits: Splits) -> Iterator[Finding]:
    for each in find_duplicates(splits):
        other = "" if each.has_same_text else f", which has another text: {each.first.text}"
        yield Finding("duplicate", f"same as {each.first.name} ({each.first_split}){other}", each.clip, each.split)


def _unusual_rates(inspected: Sequence[InspectedClip]) -> Iterator[Finding]:
    """Yield clips whose characters a second are far from the median of their language, the farthest first."""
    rates: dict[str | None, list[tuple[float, InspectedClip]]] = defaultdict(list)
    for each in inspected:
        if each.rate:
            rates[each.clip.text_language].append((log(each.rate), each))
    unusual: list[tuple[float, Finding]] = []
    for found in rates.values():
        if len(found) < _FEWEST:
            continue
        median = statistics.median(rate for rate, _ in found)
        # The median deviation of a normal distribution is 0.6745 standard deviations.
        spread = max(statistics.median(abs(rate - median) for rate, _ in found) / 0.6745, 0.05)
        for rate, each in found:
            if abs(rate - median) > _UNUSUAL * spread:
                detail = f"{each.rate:.1f} characters a second; the median is {exp(median):.1f}"
                unusual.append((abs(rate - median) / spread, each.finding("rate", detail)))
    yield from (finding for _, finding in sorted(unusual, key=lambda pair: -pair[0]))


def _shared(splits: Splits, kind: str, key: Callable[[Clip], str | None]) -> Iterator[Finding]:
    """Yield clips with a key, such as their speaker, that a clip of an earlier split has too."""
    first: dict[str, tuple[Clip, str]] = {}
    for split, clips in splits.items():
        for clip in clips:
            if value := key(clip):
                other, other_split = first.setdefault(value, (clip, split))
                if other_split != split:
                    yield Finding(kind, f"as {other.name} ({other_split})", clip, split)


def _sample_rates(inspected: Sequence[InspectedClip]) -> Iterator[Finding]:
    counts = Counter(each.audio.rate for each in inspected if each.audio.rate)
    for each in inspected:
        if each.audio.rate and each.audio.rate != (most := counts.most_common(1)[0][0]):
            yield each.finding("sample_rate", f"{each.audio.rate} Hz; most have {most} Hz")
