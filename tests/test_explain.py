"""The `explain` command."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora import classify, explain, lora
from mlx_whisper_lora.explanation import pictures
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from tests.support.labeled import write_labeled_clips

TEXT = "the yellow sister holds this yellow apple"


@pytest.fixture
def talk(tmp_path, monkeypatch) -> Path:
    """Write a WAV file of 2.5 s, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", load_audio(DEMO_AUDIO, start=9.55, end=12.05), SAMPLE_RATE)
    return Path("talk.wav")


@pytest.mark.slow
def test_maps_audio_and_a_page_are_written(run_main, talk):
    arguments = ("--model", "demo", "--audio", talk, "--words", "7,<|en|>", "--mask-steps", 20, "--output-dir", "out")
    outcome = run_main(explain, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[1:3] == [f"Transcript: {TEXT}", "target      method      score  deletion (random)  insertion (random)"]
    methods = ("mask", "gradient", "integrated", "attention")
    rows = [line.split()[:-5] for line in lines[3:] if not line.startswith(("  ", "Written"))]
    assert rows == [[*target.split(), method] for target in ("transcript",) for method in methods] + [
        [*target.split(), method] for method in methods for target in ("7 apple", "<|en|>")
    ]
    written = [line.removeprefix("Written: ") for line in lines if line.startswith("Written: ")]
    assert sorted(map(str, Path("out").iterdir())) == sorted(written)
    names = {Path(name).name for name in written}
    assert {"talk.html", "talk.transcript.mask.png", "talk.7-apple.mask.wav", "talk.en.attention.png"} <= names
    kept, rate = soundfile.read("out/talk.transcript.mask.wav")
    assert rate == SAMPLE_RATE and len(kept) == 2.5 * SAMPLE_RATE and 0 < np.abs(kept).max() <= 1


@pytest.mark.slow
def test_without_words_cheap_methods_explain_all_of_them(run_main, talk):
    outcome = run_main(explain, "--model", "demo", "--audio", talk, "--methods", "integrated,attention")
    files = sorted(path.name for path in Path().glob("*.png"))
    words = [f"talk.{i}-{word}.attention.png" for i, word in enumerate(TEXT.split(), start=1)]
    assert files == [*words, "talk.en.attention.png", "talk.transcript.attention.png", "talk.transcript.integrated.png"]
    assert outcome.code == 0


def test_a_clip_of_a_long_recording_is_explained_and_the_command_says_so(run_main, talk):
    soundfile.write("long.wav", np.tile(load_audio(talk), 14), SAMPLE_RATE)
    options = ("--text", TEXT, "--words", "none", "--methods", "attention")
    outcome = run_main(explain, "--model", "demo", "--audio", "long.wav", *options)
    assert outcome.out.splitlines()[0] == "long.wav: 30 s of it are explained; --clip-start gives others"
    outcome = run_main(explain, "--model", "demo", "--audio", "long.wav", "--clip-start", 32.5, *options)
    assert outcome.out.splitlines()[0] == "Loading model demo (bundled; --model gives another)"
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--methods", "mask,magic"), 2, "--methods are mask, gradient, integrated, attention, got 'magic'"),
        (("--words", "9"), 2, "--words: '9' is not a word of the transcript, or its number: 1:the 2:yellow"),
        (("--text", " "), 2, "--text is empty: give the words that are to be explained"),
        (("--clip-start", "3"), 1, "talk.wav: the recording ends before 3.00 s, where the clip starts"),
        (("--audio", "no.wav"), 1, "no.wav: no such file"),
        (("--adapter-file", "no.npz"), 1, "no.npz: no such adapter file"),
        (("--output-dir", "talk.wav"), 1, "talk.wav: this is not a folder"),
    ],
)
def test_errors_are_one_line_and_write_nothing(arguments, code, line, run_main, talk):
    given = dict(zip(("--model", "--audio"), ("demo", str(talk)), strict=True)) | dict([arguments])
    outcome = run_main(explain, *(part for pair in given.items() for part in pair))
    assert outcome.code == code and line in outcome.err and "Traceback" not in outcome.err
    assert [path.name for path in Path().iterdir()] == ["talk.wav"]


def test_without_matplotlib_the_error_says_how_to_install_it(run_main, talk, monkeypatch):
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    outcome = run_main(explain, "--model", "demo", "--audio", talk)
    line = "pictures require matplotlib: run pip install 'mlx_whisper_lora[explain]'"
    assert (outcome.code, outcome.err) == (1, f"mlx_whisper_lora.explain: error: {line}\n")


def test_the_network_is_drawn_with_its_adapter(run_main, tmp_path, monkeypatch, demo_model_folder):
    monkeypatch.chdir(tmp_path)
    run_main(lora, "--train", "--model", "demo", "--lora-layers", 1, "--iters", 1, "--val-clips", 1, "--sample-len", 4)
    outcome = run_main(explain, "--network", "--adapter-file", "adapters_last.npz", "--output-dir", "drawn")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["network.html", "network.svg"]
    assert "adapter: lora, " in Path("drawn/network.html").read_text()
    both = run_main(explain, "--network", "--audio", "x.wav")
    assert both.code == 2 and "--network draws the model, whatever it hears: leave out --audio" in both.err


@pytest.mark.slow
def test_the_class_that_a_classifier_names_is_explained(run_main, tmp_path, monkeypatch, demo_model_folder):
    monkeypatch.chdir(tmp_path)
    clips = write_labeled_clips(tmp_path / "clips")
    trained = ("--train", "--model", "demo", "--data", clips, "--iters", 20, "--best-by", "loss", "--warmup", 0)
    assert run_main(classify, *trained, "--batch-size", 4, "--learning-rate", 0.002).code == 0
    given = ("--adapter-file", "adapters.npz", "--audio", clips / "test1.wav", "--mask-steps", 5)
    outcome = run_main(explain, *given, "--words", "tone,plain", "--output-dir", "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(r"Class: (tone|plain) \(\d+\.\d %\)", outcome.out.splitlines()[1])
    names = {path.name for path in Path("out").iterdir()}
    methods = ("mask", "gradient", "integrated")
    assert names == {
        "test1.html",
        *(f"test1.{name}.{method}.png" for name in ("tone", "plain") for method in methods),
        *(f"test1.{name}.mask.wav" for name in ("tone", "plain")),
    }
    wrong = run_main(explain, *given, "--words", "noise")
    assert wrong.code == 2 and "--words: 'noise' is not one of the classes plain, tone" in wrong.err
