"""Synthetic voices: espeak-ng and flite, which are Debian packages of the same names.

All audio is float32, mono, at 16 kHz, between -1 and 1.
"""

import ctypes
import random
import re
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import io, signal

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE

Audio = NDArray[np.float32]
Span = tuple[float, float]  # start and end in seconds

_BASES = {
    "en": ("en", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"),
    "de": ("de",),
    "es": ("es", "es-419"),
}
# Variants of espeak-ng that sound like people: no whispers, robots, croaks or distorted speakers.
_VARIANT_NAMES = """
    m1 m2 m3 m4 m6 m7 m8 f1 f2 f4 f5 Alex Alicia Andy Annie Denis Diogo Gene Henrique Hugo Marco Mario Mike adam antonio
    aunty belinda benjamin caleb david ed edward grandma iven4 john linda marcelo michel norbert pablo paul pedro quincy
    rob sandro shelby steph travis
"""
VARIANTS = tuple(_VARIANT_NAMES.split())
HELD_OUT_VARIANTS = ("m5", "f3", "Andrea", "Michael", "Lee", "Nguyen", "anika", "victor", "robert", "miguel")
FLITE_VOICES = ("slt", "awb", "rms", "kal")

_FLITE_WORDS_PER_MINUTE = 170  # flite's speed at duration_stretch=1
_SILENCE = 0.005  # a sample below this part of the peak counts as silence when ends are trimmed
_MARGIN = int(0.03 * SAMPLE_RATE)  # silence left at both ends


@dataclass(frozen=True)
class Voice:
    """One speaker: an engine, its voice, and the way it speaks."""

    engine: str  # "espeak-ng" or "flite"
    name: str  # espeak-ng language and variant ("en-us+f3"), or one of FLITE_VOICES
    speed: int = 170  # words per minute
    pitch: int = 50  # 0 to 99 for espeak-ng; mean frequency in Hz for flite, 0 for the voice's own
    gap: int = 0  # pause between words in units of 10 ms at the default speed; espeak-ng only
    warp: float = 1.0  # playback rate; 1.1 raises pitch and formants and shortens the speech by a tenth


def random_voice(rng: random.Random, language: str, held_out: bool = False) -> Voice:
    """Return a random espeak-ng voice for a language.

    Args:
        rng: the source of chance.
        language: "en", "de" or "es".
        held_out: choose the variant from HELD_OUT_VARIANTS instead of VARIANTS.
    """
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

    Raises:
        RuntimeError: the engine is not installed, fails, or returns silence.
        ValueError: the voice is not known here; both engines would silently speak with another one.
    """
    return speak_words(text, voice)[0]


def speak_words(text: str, voice: Voice) -> tuple[Audio, list[Span]]:
    """Return the audio that `speak` returns, and the span of each word of `text.split()` in it.

    Only espeak-ng reports when it says a word. With flite the list is empty.
    """
    _check_known(voice)
    starts: list[int] = []
    if voice.engine == "espeak-ng":
        samples, rate, starts = _espeak(text, voice)
    else:
        samples, rate = _flite(text, voice)
    warped = warp(samples.astype(np.float32) / np.float32(32768), rate, voice.warp)
    first, last = speech_bounds(warped)
    if first == last:
        raise RuntimeError(f"{voice.engine} returned silence for {text!r} with voice {voice.name!r}")
    times = np.array([*starts, len(samples)]) / (rate * voice.warp) - first / SAMPLE_RATE
    times = np.clip(times, 0, (last - first) / SAMPLE_RATE).round(3).tolist()
    return warped[first:last], list(pairwise(times))


def warp(audio: Audio, rate: int = SAMPLE_RATE, factor: float = 1.0) -> Audio:
    """Resample audio to 16 kHz and play it faster or slower, which changes its pitch too.

    Args:
        audio: shape (samples,).
        rate: sample rate of `audio` in Hz.
        factor: speed of the result; its length is divided by it.
    """
    # 16 kHz / 50 = 320: a fine grid of factors, and small enough for a short filter.
    ratio = Fraction(320, round(rate * factor / 50))
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return audio
    return signal.resample_poly(audio, up, down, window=_low_pass(max(up, down)))


def speech_bounds(audio: Audio) -> tuple[int, int]:
    """Return the first and last sample of speech, with at most 30 ms of silence around it, or (0, 0) for silence."""
    level = np.abs(audio)
    loud = np.flatnonzero(level > _SILENCE * level.max(initial=0))
    if len(loud) == 0:
        return 0, 0
    return max(loud[0] - _MARGIN, 0), min(loud[-1] + 1 + _MARGIN, len(audio))


@lru_cache
def _low_pass(widest: int) -> NDArray[np.float32]:
    """Return the anti-alias filter for resampling with `widest` as the larger of both factors."""
    return signal.firwin(20 * widest + 1, 1 / widest, window=("kaiser", 5.0)).astype(np.float32)


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
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_LIST_ENDS, _WORD = 0, 1  # types of events
_RATE, _VOLUME, _PITCH, _WORD_GAP = 1, 2, 3, 7  # parameters
_SYNCHRONOUS, _UTF_8 = 2, 1


class _EspeakLibrary:
    """espeak-ng as a library in this process: unlike the program, it reports when each word begins."""

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError:
            raise _not_installed("espeak-ng") from None
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
    reported = dict(words)
    positions = [match.start() for match in re.finditer(r"\S+", text)]
    known = [(i, reported[position]) for i, position in enumerate(positions) if position in reported]
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
        command = ["flite", *options, "-o", str(path), "-t", text]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise _not_installed("flite") from None
        if done.returncode or done.stderr:
            raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}): {done.stderr.strip()}")
        rate, samples = io.wavfile.read(path)
    return samples, rate


def _not_installed(engine: str) -> RuntimeError:
    return RuntimeError(f"{engine} is not installed; on Debian: apt-get install {engine}")
