"""The demo model's words, and the synthetic speech that it learns from."""

import random
import shutil
import subprocess
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from tools.demo_model.conditions import disturb
from tools.demo_model.corpus import Recipe, load_corpus, write_corpus
from tools.demo_model.language import LANGUAGES, VOCABULARY, sentence
from tools.demo_model.noise import no_speech
from tools.demo_model.voices import (
    FLITE_VOICES,
    HELD_OUT_VARIANTS,
    VARIANTS,
    Audio,
    Voice,
    speak,
    speak_words,
    speech_bounds,
    warp,
)
from tools.demo_model.windows import lay_out

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")


def tone(frequency: float, rate: int = SAMPLE_RATE, seconds: float = 1.0) -> Audio:
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def test_vocabularies_are_distinct():
    for language in LANGUAGES:
        assert len(set(VOCABULARY[language])) == len(VOCABULARY[language]) >= 160
    for one, other in combinations(LANGUAGES, 2):
        assert not set(VOCABULARY[one]) & set(VOCABULARY[other])


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_cover_the_vocabulary_evenly(language):
    rng = random.Random(0)
    counts: Counter[str] = Counter()
    for _ in range(10_000):
        n_words = rng.randint(1, 10)
        words = sentence(rng, language, n_words).split()
        assert len(words) == n_words
        counts.update(words)
    assert set(counts) == set(VOCABULARY[language])
    assert min(counts.values()) > 0.3 * sum(counts.values()) / len(counts)


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "en-gb", "de", "es", "es-419"])
def test_no_homophones(voice):
    words = VOCABULARY[voice[:2]]
    command = ["espeak-ng", "-q", "-x", "-v", voice, "--stdin"]
    output = subprocess.run(command, input="\n\n".join(words), capture_output=True, text=True, check=True)
    without_stress = str.maketrans("", "", " ',")
    phonemes = [line.translate(without_stress) for line in output.stdout.splitlines() if line.strip()]
    assert len(set(phonemes)) == len(words)


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
@pytest.mark.parametrize("factor", [0.9, 0.907, 1.0, 1.1])
def test_warp_scales_pitch_and_length(rate, factor):
    warped = warp(tone(1000, rate), rate, factor)
    spectrum = np.abs(np.fft.rfft(warped))
    assert len(warped) == pytest.approx(16_000 / factor, rel=0.004)
    assert np.argmax(spectrum) * SAMPLE_RATE / len(warped) == pytest.approx(1000 * factor, rel=0.004)
    assert np.std(warped) == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_silence_around_speech_is_trimmed_to_30_ms():
    padded = np.concatenate([np.zeros(8000, np.float32), tone(440), np.zeros(8000, np.float32)])
    first, last = speech_bounds(padded)
    assert (first, last) == (pytest.approx(8000 - 480, abs=4), pytest.approx(24_000 + 480, abs=4))
    assert speech_bounds(np.zeros(100, np.float32)) == (0, 0)


@needs_espeak
@pytest.mark.parametrize("rate", [1.0, 1.1])
def test_words_are_said_at_their_reported_times(rate):
    """The pauses that espeak-ng makes between words fall between the words' spans."""
    text = "yellow window cheese"
    audio, words = speak_words(text, Voice("espeak-ng", "en-us", gap=30, warp=rate))
    assert len(words) == 3
    assert words[0][0] == 0 and words[-1][1] == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.001)
    for (_, end), (start, _) in pairwise(words):
        assert end == start
        pause = audio[int((start - 0.08) * SAMPLE_RATE) : int((start - 0.02) * SAMPLE_RATE)]
        assert np.std(pause) < 0.02 * np.std(audio)


def test_disturb_keeps_length_and_limits_the_peak():
    for seed in range(50):
        disturbed = disturb(tone(300), np.random.default_rng(seed))
        assert disturbed.shape == (16_000,) and disturbed.dtype == np.float32
        assert 0.049 < np.abs(disturbed).max() < 0.951


def test_audio_without_speech_is_finite_and_bounded():
    for seed in range(40):
        audio = no_speech(2.5, np.random.default_rng(seed))
        assert audio.shape == (40_000,) and audio.dtype == np.float32
        assert np.abs(audio).max() <= 1


def test_utterances_start_in_a_window_at_their_reported_times():
    cut = 0
    for seed in range(20):
        audio, starts = lay_out([tone(440, seconds=4)] * 10, np.random.default_rng(seed))
        assert audio.shape == (480_000,)
        for start in starts:
            first = round(start * SAMPLE_RATE)
            last = min(first + 64_000, len(audio))
            assert np.std(audio[first:last]) > 0.5
            assert last == len(audio) or np.std(audio[last : last + 1600]) < 0.1
        cut += starts[-1] + 4 > 30
    assert cut > 0


def test_unknown_voices_are_refused():
    for engine, name in (("espeak-ng", "en+nobody"), ("flite", "nobody"), ("nobody", "slt")):
        with pytest.raises(ValueError, match="unknown voice"):
            speak("hello", Voice(engine, name))


def test_missing_engine_names_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt-get install flite"):
        speak("hello", Voice("flite", "slt"))


@needs_espeak
def test_all_variants_exist():
    command = ["espeak-ng", "--voices=variant"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    names = {line.split("!v/")[1].split()[0] for line in listed.stdout.splitlines()[1:]}
    assert set(VARIANTS + HELD_OUT_VARIANTS) <= names
    assert not set(VARIANTS) & set(HELD_OUT_VARIANTS)


@needs_flite
@pytest.mark.parametrize("name", FLITE_VOICES)
def test_flite_speaks(name):
    voices = [Voice("flite", name, speed, pitch=0) for speed in (120, 200)]
    slow, fast = (speak("seven three", voice) for voice in voices)
    assert len(slow) > 1.3 * len(fast)
    assert 0.1 < np.abs(fast).max() <= 1


@needs_espeak
def test_corpus_is_the_same_for_any_number_of_processes(tmp_path):
    recipe = Recipe(seed=5, weights=(1.0, 2.0), held_out=True)
    for processes in (1, 2):
        write_corpus(tmp_path / str(processes), 6, recipe, processes)
    ones, twos = (load_corpus(tmp_path / name) for name in ("1", "2"))
    for one, two in zip(ones, twos, strict=True):
        assert (one.text, one.voice, one.language) == (two.text, two.voice, two.language)
        assert one.voice.name.split("+")[1] in HELD_OUT_VARIANTS
        assert len(one.text.split()) == len(one.words) <= 2
        np.testing.assert_array_equal(one.audio(), two.audio())
        assert one.audio().dtype == np.float32 and len(one.audio()) == one.length
