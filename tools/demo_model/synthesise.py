"""Synthetic speech for the demo model: voices, recording conditions, noise, 30 s windows and corpora.

The speech comes from espeak-ng and flite (Debian packages of the same names). All audio
is float32, mono, at 16 kHz, between -1 and 1. Text and voices are drawn with `random.Random`, signals
with `numpy.random.Generator`.

    python -m tools.demo_model.synthesise --output build/corpus --utterances 30000 --seed 1 --min-words 1 --max-words 10
"""

import argparse
import ctypes
import json
import multiprocessing
import random
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, io, signal
from tqdm import tqdm

from tools.demo_model.language import LANGUAGES, sentence

SAMPLE_RATE = 16_000
Audio = NDArray[np.float32]
Span = tuple[float, float]  # start and end in seconds

_BASES = {
    "en": ("en", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"),
    "de": ("de",),
    "es": ("es", "es-419"),
}
# Variants of espeak-ng that sound like people: no whispers, robots, croaks or distorted speakers.
VARIANTS = (
    "m1",
    "m2",
    "m3",
    "m4",
    "m6",
    "m7",
    "m8",
    "f1",
    "f2",
    "f4",
    "f5",
    "Alex",
    "Alicia",
    "Andy",
    "Annie",
    "Denis",
    "Diogo",
    "Gene",
    "Henrique",
    "Hugo",
    "Marco",
    "Mario",
    "Mike",
    "adam",
    "antonio",
    "aunty",
    "belinda",
    "benjamin",
    "caleb",
    "david",
    "ed",
    "edward",
    "grandma",
    "iven4",
    "john",
    "linda",
    "marcelo",
    "michel",
    "norbert",
    "pablo",
    "paul",
    "pedro",
    "quincy",
    "rob",
    "sandro",
    "shelby",
    "steph",
    "travis",
)
HELD_OUT_VARIANTS = ("m5", "f3", "Andrea", "Michael", "Lee", "Nguyen", "anika", "victor", "robert", "miguel")
FLITE_VOICES = ("slt", "awb", "rms", "kal")

_FLITE_WORDS_PER_MINUTE = 170  # what flite speaks at duration_stretch=1
_SILENCE = 0.005  # a sample below this part of the peak counts as silence when ends are trimmed
_MARGIN = int(0.03 * SAMPLE_RATE)  # silence left at both ends


# --- Voices ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Voice:
    """One speaker: the engine ('espeak-ng' or 'flite'), its voice and how it speaks.

    name: espeak-ng language and variant ('en-us+f3'), or flite voice ('slt', 'awb', 'rms', 'kal').
    speed: words per minute. pitch: 0 to 99 for espeak-ng; mean frequency in Hz for flite, 0 for its own.
    gap: pause between words in units of 10 ms at the default speed; espeak-ng only.
    warp: playback rate; 1.1 raises pitch and formants and shortens the speech by a tenth.
    """

    engine: str
    name: str
    speed: int = 170
    pitch: int = 50
    gap: int = 0
    warp: float = 1.0


def random_voice(rng: random.Random, language: str, held_out: bool = False) -> Voice:
    """Return a random espeak-ng voice for `language`; its variant is one of HELD_OUT_VARIANTS if so asked."""
    variant = rng.choice(HELD_OUT_VARIANTS if held_out else VARIANTS)
    return Voice(
        engine="espeak-ng",
        name=f"{rng.choice(_BASES[language])}+{variant}",
        speed=rng.randint(110, 220),
        pitch=rng.randint(15, 85),
        gap=rng.randint(1, 12) if rng.random() < 0.3 else 0,
        warp=round(rng.uniform(0.9, 1.1), 3) if rng.random() < 0.5 else 1.0,
    )


def speak(text: str, voice: Voice) -> Audio:
    """Return `text` spoken by `voice`, with at most 30 ms of silence at either end.

    Raises RuntimeError if the engine is not installed, fails or makes no sound, ValueError for a voice that
    is not known here: both engines would silently speak with another one.
    """
    return speak_words(text, voice)[0]


def speak_words(text: str, voice: Voice) -> tuple[Audio, list[Span]]:
    """As `speak`, and with when each word of `text.split()` is said: (start, end) in seconds.

    Only espeak-ng tells; with flite the list is empty.
    """
    _check_known(voice)
    starts: list[int] = []
    if voice.engine == "espeak-ng":
        samples, rate, starts = _espeak(text, voice)
    else:
        samples, rate = _flite(text, voice)
    warped = warp(samples.astype(np.float32) / np.float32(32768), rate, voice.warp)
    first, last = _speech(warped)
    if first == last:
        raise RuntimeError(f"{voice.engine} made no sound for {text!r} with voice {voice.name!r}")
    times = np.array([*starts, len(samples)]) / (rate * voice.warp) - first / SAMPLE_RATE
    times = np.clip(times, 0, (last - first) / SAMPLE_RATE).round(3).tolist()
    return warped[first:last], list(pairwise(times))


def _check_known(voice: Voice) -> None:
    """Raise ValueError for an unknown engine, an unknown variant of espeak-ng or an unknown flite voice."""
    if voice.engine == "espeak-ng":
        variant = voice.name.partition("+")[2]
        known = not variant or variant in VARIANTS + HELD_OUT_VARIANTS
    else:
        known = voice.engine == "flite" and voice.name in FLITE_VOICES
    if not known:
        raise ValueError(f"unknown voice {voice.name!r} of engine {voice.engine!r}")


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    )  # fmt: skip


_LIST_ENDS, _WORD = 0, 1  # types of events
_RATE, _VOLUME, _PITCH, _WORD_GAP = 1, 2, 3, 7  # parameters
_SYNCHRONOUS, _UTF_8 = 2, 1


class _EspeakLibrary:
    """espeak-ng in this process: unlike the program, it tells when each word begins."""

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError:
            raise RuntimeError("espeak-ng is not installed; on Debian: apt-get install espeak-ng") from None
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self.callback = kind(self._take)  # kept: the library holds no reference
        self.library.espeak_SetSynthCallback(self.callback)

    def _take(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _LIST_ENDS:
            if events[i].type == _WORD:
                self.words.append((events[i].text_position - 1, events[i].sample))
            i += 1
        return 0

    def speak(self, text: str, voice: Voice) -> tuple[NDArray[np.int16], list[tuple[int, int]]]:
        """Return the samples, and for each word its position in `text` and its first sample."""
        self.parts: list[NDArray[np.int16]] = []
        self.words: list[tuple[int, int]] = []
        if self.library.espeak_SetVoiceByName(voice.name.encode()):
            raise RuntimeError(f"espeak-ng has no voice {voice.name!r}")
        # Volume 40: at the default of 100 some variants clip.
        for parameter, value in ((_RATE, voice.speed), (_VOLUME, 40), (_PITCH, voice.pitch), (_WORD_GAP, voice.gap)):
            self.library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF_8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.parts or [np.zeros(0, np.int16)]), self.words


_library = lru_cache(_EspeakLibrary)


def _espeak(text: str, voice: Voice) -> tuple[NDArray[np.int16], int, list[int]]:
    """Return espeak-ng's samples, their rate, and the first sample of each word of `text`.

    Words that espeak-ng runs together ("of the") share the time of the first one.
    """
    samples, words = _library().speak(text, voice)
    told = dict(words)
    positions = [match.start() for match in re.finditer(r"\S+", text)]
    known = [(i, told[position]) for i, position in enumerate(positions) if position in told]
    anchors = [(0, 0), *known, (len(positions), len(samples))]
    starts = np.interp(range(len(positions)), [i for i, _ in anchors], [sample for _, sample in anchors])
    return samples, _library().rate, starts.astype(int).tolist()


def _flite(text: str, voice: Voice) -> tuple[NDArray[np.int16], int]:
    """Return the int16 samples and the sample rate of flite's speech."""
    stretch = _FLITE_WORDS_PER_MINUTE / voice.speed
    options = ["-voice", voice.name, "--setf", f"duration_stretch={stretch:.3f}"]
    if voice.pitch:
        options += ["--setf", f"int_f0_target_mean={voice.pitch}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        _run_engine(["flite", *options, "-o", str(path), "-t", text], "")
        rate, samples = io.wavfile.read(path)
    return samples, rate


def _run_engine(command: list[str], text: str) -> bytes:
    """Run a speech program with `text` as its input; return its output, or raise RuntimeError."""
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    except FileNotFoundError:
        name = command[0]
        raise RuntimeError(f"{name} is not installed; on Debian: apt-get install {name}") from None
    if done.returncode or done.stderr:
        raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}): {done.stderr.decode().strip()}")
    return done.stdout


def warp(audio: Audio, rate: int = SAMPLE_RATE, factor: float = 1.0) -> Audio:
    """Resample from `rate` Hz to 16 kHz, played `factor` times as fast (the length is divided by it)."""
    # 16 kHz / 50 = 320: a fine grid of factors, and small enough for a short filter.
    ratio = Fraction(320, round(rate * factor / 50))
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return audio
    return signal.resample_poly(audio, up, down, window=_low_pass(max(up, down)))


@lru_cache
def _low_pass(widest: int) -> NDArray[np.float32]:
    """Return the anti-alias filter for resampling with `widest` as the larger of both factors."""
    return signal.firwin(20 * widest + 1, 1 / widest, window=("kaiser", 5.0)).astype(np.float32)


def _speech(audio: Audio) -> tuple[int, int]:
    """Return where speech begins and ends, with 30 ms of silence at most; two equal numbers for silence."""
    level = np.abs(audio)
    loud = np.flatnonzero(level > _SILENCE * level.max(initial=0))
    if len(loud) == 0:
        return 0, 0
    return max(loud[0] - _MARGIN, 0), min(loud[-1] + 1 + _MARGIN, len(audio))


# --- Recording conditions ----------------------------------------------------------------------------


def disturb(audio: Audio, rng: np.random.Generator) -> Audio:
    """Return `audio`, shape (samples,), under random recording conditions; its length and times stay.

    Three clips in ten stay as they are, but for the loudness. Over the others come, each by chance, a
    reverberation, noise at 10 to 40 dB below the speech, and a narrower band.
    """
    if rng.random() > 0.3:
        if rng.random() < 0.3:
            audio = _reverberate(audio, rng)
        if rng.random() < 0.6:
            audio = _add_noise(audio, rng)
        if rng.random() < 0.25:
            audio = _narrow(audio, rng)
    return _set_peak(audio, rng.uniform(0.05, 0.95))


def _set_peak(audio: Audio, peak: float) -> Audio:
    return audio * np.float32(peak / max(np.abs(audio).max(initial=0), 1e-6))


def _reverberate(audio: Audio, rng: np.random.Generator) -> Audio:
    """Add a tail of exponentially decaying noise: RT60 0.1 to 0.5 s, 5 to 20 dB below the direct sound."""
    rt60 = rng.uniform(0.1, 0.5)
    times = np.arange(int(rt60 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(times)) * np.exp(-6.9 * times / rt60)  # exp(-6.9) is -60 dB
    tail *= 10 ** (-rng.uniform(5, 20) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return signal.fftconvolve(audio, tail.astype(np.float32))[: len(audio)]


def _add_noise(audio: Audio, rng: np.random.Generator) -> Audio:
    noise_ = _background(len(audio), rng)
    level = np.sqrt(np.mean(audio**2)) * 10 ** (-rng.uniform(10, 40) / 20)
    return audio + np.float32(level) * noise_


def _narrow(audio: Audio, rng: np.random.Generator) -> Audio:
    """Keep the telephone band, 300 to 3400 Hz, or what is below 4 kHz."""
    band, kind = (((300, 3400), "bandpass"), (4000, "lowpass"))[rng.integers(2)]
    sections = signal.butter(4, band, kind, fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(sections, audio).astype(np.float32)


def _background(length: int, rng: np.random.Generator) -> Audio:
    """Return `length` samples of white, pink or brown noise or mains hum, of RMS 1."""
    kind = rng.choice(("white", "pink", "brown", "hum"))
    if kind == "hum":
        return _hum(length, rng)
    exponent = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    if exponent == 0:
        return rng.standard_normal(length, dtype=np.float32)
    size = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(rng.standard_normal(size, dtype=np.float32))
    # Flat below 30 Hz: otherwise brown noise would be almost all below what can be heard.
    frequencies = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), 30).astype(np.float32)
    coloured = fft.irfft(spectrum / frequencies**exponent, size)[:length]
    return coloured / np.sqrt(np.mean(coloured**2) + 1e-20)


def _hum(length: int, rng: np.random.Generator) -> Audio:
    """Return mains hum: 50 or 60 Hz and five overtones of random strengths; RMS 1."""
    times = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    base = rng.choice((50, 60))
    hum = np.zeros(length, dtype=np.float32)
    for k in range(1, 7):
        cycles = base * k * times + np.float32(rng.random())
        hum += np.float32(rng.uniform(0.1, 1) / k) * np.sin(2 * np.pi * cycles)
    return hum / np.sqrt(np.mean(hum**2) + 1e-20)


# --- No speech ---------------------------------------------------------------------------------------


def noise(seconds: float, rng: np.random.Generator) -> Audio:
    """Return a sound without speech, shape (seconds * 16000,): silence, noise, hum, clicks, tones, ..."""
    length = int(seconds * SAMPLE_RATE)
    kind = rng.choice(("silence", "background", "background", "clicks", "tones", "chirps", "bursts"))
    if kind == "silence":
        return np.zeros(length, dtype=np.float32)
    # Most recordings have a floor of noise under whatever else happens in them.
    audio = _background(length, rng) * np.float32(10 ** rng.uniform(-4, -2.5))
    if kind == "background":
        audio = _background(length, rng)
    for _ in range(rng.integers(1, 12) if kind != "background" else 0):
        event = _event(kind, rng)
        start = rng.integers(0, max(length - len(event), 1))
        part = audio[start : start + len(event)]
        part += event[: len(part)] * np.float32(rng.uniform(0.05, 1))
    return _set_peak(audio, 10 ** rng.uniform(-3.5, -0.05))


def _event(kind: str, rng: np.random.Generator) -> Audio:
    """Return a click, a tone, a chirp or a burst of noise, with soft ends; peak about 1."""
    seconds = rng.uniform(0.002, 0.02) if kind == "clicks" else rng.uniform(0.05, 2)
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    if kind in ("clicks", "bursts"):
        sound = _background(len(times), rng) / 3
    else:
        start, end = np.exp(rng.uniform(np.log(80), np.log(6000), size=2))
        sound = signal.chirp(times, start, seconds, start if kind == "tones" else end)
    return (sound * signal.windows.tukey(len(times), 0.2)).astype(np.float32)


# --- Windows -----------------------------------------------------------------------------------------


def window(utterances: Sequence[Audio], rng: np.random.Generator, seconds: float = 30.0) -> tuple[Audio, list[float]]:
    """Lay utterances out over a window, 0.2 to 3 s apart, on a floor of silence or noise.

    Returns the audio, shape (seconds * 16000,), and when each utterance starts, in seconds. What runs over the
    window's end is cut; those for which no room is left are dropped, so starts may be fewer than utterances.
    """
    length = int(seconds * SAMPLE_RATE)
    audio = _floor(length, rng)
    starts: list[float] = []
    position = int(SAMPLE_RATE * (rng.uniform(0, 0.1) if rng.random() < 0.6 else rng.uniform(0.1, 4)))
    for speech in utterances:
        if position > length - SAMPLE_RATE // 4:  # less than 0.25 s would be no audible start
            break
        end = position + len(speech)
        audio[position:end] += speech[: length - position]
        starts.append(position / SAMPLE_RATE)
        position = end + int(SAMPLE_RATE * rng.uniform(0.2, 3))
    return np.clip(audio, -1, 1), starts


def _floor(length: int, rng: np.random.Generator) -> Audio:
    """Return digital silence (as often as not) or noise of 50 to 80 dB below full scale."""
    if rng.random() < 0.5:
        return np.zeros(length, dtype=np.float32)
    return _background(length, rng) * np.float32(10 ** rng.uniform(-4, -2.5))


# --- Corpora -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """What a corpus is made of: weights[i] is the relative frequency of utterances of i + 1 words."""

    seed: int
    weights: tuple[float, ...]
    held_out: bool = False


@dataclass(frozen=True)
class Item:
    """One utterance of a corpus; offset and length count samples of `samples`, the whole corpus."""

    offset: int
    length: int
    text: str
    language: str
    voice: Voice
    words: list[Span]
    samples: NDArray[np.int16]

    def audio(self) -> Audio:
        """Return the utterance's audio, shape (length,)."""
        return self.samples[self.offset : self.offset + self.length].astype(np.float32) / np.float32(32768)


def utterance(index: int, recipe: Recipe) -> tuple[NDArray[np.int16], dict]:
    """Return the samples and the description of utterance `index`; the same whoever computes it, and when."""
    rng = random.Random(f"{recipe.seed}/{index}")
    language = rng.choice(LANGUAGES)
    n_words = rng.choices(range(1, len(recipe.weights) + 1), recipe.weights)[0]
    text = sentence(rng, language, n_words)
    voice = random_voice(rng, language, recipe.held_out)
    speech, words = speak_words(text, voice)
    audio = disturb(speech, np.random.default_rng([recipe.seed, index]))
    entry = {"text": text, "language": language, "voice": asdict(voice), "words": words}
    return np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16), entry


def corpus(folder: Path, n: int, recipe: Recipe, processes: int = 2) -> None:
    """Write `n` utterances to `folder`: samples.npy (int16, 16 kHz, end to end) and index.jsonl.

    The result does not depend on `processes`. Raises RuntimeError if espeak-ng is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries, total = [], 0
    with multiprocessing.Pool(processes) as pool, (folder / "samples.npy").open("wb") as file:
        _write_header(file, total)
        made = pool.imap(partial(utterance, recipe=recipe), range(n), chunksize=32)
        for samples, entry in tqdm(made, total=n, unit="utt", desc=str(folder), mininterval=5):
            samples.tofile(file)
            entries.append({"offset": total, "length": len(samples), **entry})
            total += len(samples)
        file.seek(0)
        _write_header(file, total)
    lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries]
    (folder / "index.jsonl").write_text("".join(lines), encoding="utf-8")


def _write_header(file, length: int) -> None:
    """Write the .npy header for `length` samples; numpy pads it so that a later, longer one fits too."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


def load_corpus(folder: Path) -> list[Item]:
    """Return the utterances that `corpus` wrote to `folder`; their samples stay on disk until asked for."""
    folder = Path(folder)
    samples = np.load(folder / "samples.npy", mmap_mode="r")
    items = []
    with (folder / "index.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            items.append(Item(**{**entry, "voice": Voice(**entry["voice"])}, samples=samples))
    return items


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a corpus, as told on the command line."""
    parser = argparse.ArgumentParser(description="Make a corpus of synthetic speech with espeak-ng.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--utterances", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--min-words", type=int, default=1)
    parser.add_argument("--max-words", type=int, default=10)
    parser.add_argument(
        "--common-words",
        type=int,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="make these numbers of words thrice as frequent as the others",
    )
    parser.add_argument("--held-out", action="store_true", help="use only the variants kept from training")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    low, high = options.common_words or (1, 0)
    weights = [
        0.0 if n < options.min_words else 3.0 if low <= n <= high else 1.0 for n in range(1, options.max_words + 1)
    ]
    recipe = Recipe(options.seed, tuple(weights), options.held_out)
    corpus(options.output, options.utterances, recipe, options.processes)


if __name__ == "__main__":
    main()
