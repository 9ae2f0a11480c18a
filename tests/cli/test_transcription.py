"""The function that takes the place of mlx_whisper.transcribe, and the printing of transcripts."""

import os
import sys

import mlx.core as mx
import numpy as np
import pytest

import mlx_whisper_lora.transcribe
from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.cli import transcription
from mlx_whisper_lora.cli.recordings import output_stem, unique_names
from mlx_whisper_lora.cli.transcription import transcribe, transcribe_live
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.segments import Segment
from mlx_whisper_lora.whisper.transcription.windows import Progress
from tests.support.models import seeded_model
from tools.references.seeded import chirps

command = sys.modules["mlx_whisper_lora.transcribe"]  # the attribute of that name may be the function


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(seeded_model("multilingual"), folder)
    return folder


OPTIONS = {"language": "en", "temperature": 0.0, "sample_len": 8, "no_speech_threshold": None}


# The arguments of mlx_whisper.transcribe and whisper.transcribe beside the model and the recording. The second half are
# fields of their DecodingOptions.
FUNCTION_OPTIONS = {
    "verbose": None, "temperature": (0.0, 0.2), "compression_ratio_threshold": 2.4, "logprob_threshold": -1.0,
    "no_speech_threshold": None, "condition_on_previous_text": False, "initial_prompt": "names",
    "carry_initial_prompt": True, "word_timestamps": True, "prepend_punctuations": "(", "append_punctuations": ".",
    "clip_timestamps": [0.0, 1.0], "hallucination_silence_threshold": None,
    "task": "transcribe", "language": "en", "sample_len": 8, "best_of": 1, "beam_size": 2, "patience": 1.0,
    "length_penalty": 0.5, "prompt": None, "prefix": "a", "suppress_tokens": [-1], "suppress_blank": True,
    "without_timestamps": False, "max_initial_timestamp": 1.0, "fp16": False,
}  # fmt: skip


def test_the_function_takes_the_arguments_of_mlx_whisper_and_openai_whisper(model_folder):
    result = transcribe(chirps(1.5), path_or_hf_repo=str(model_folder), **FUNCTION_OPTIONS)
    assert result.keys() == {"text", "segments", "language"} and result["segments"]
    assert result["segments"][0].keys() == {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
        "no_speech_prob", "words",
    }  # fmt: skip


def test_the_function_loads_once_and_again_after_a_change(model_folder, monkeypatch):
    loads = []
    load = loading.load_model
    monkeypatch.setattr(loading, "load_model", lambda *args: loads.append(args) or load(*args))
    monkeypatch.setattr(transcription, "MODELS", loading.ModelCache())
    for _ in range(2):
        result = transcribe(chirps(1.5), path_or_hf_repo=model_folder, **OPTIONS)
        assert result["segments"]
    assert len(loads) == 1
    os.utime(model_folder / "config.json", ns=(1, 10**19))
    transcribe(chirps(1.5), path_or_hf_repo=model_folder, **OPTIONS)
    assert len(loads) == 2


@pytest.mark.parametrize(("fp16", "dtype"), [(True, mx.float16), (False, mx.float32)])
def test_fp16_is_the_type_of_the_weights(model_folder, fp16, dtype):
    transcribe(np.zeros(0, np.float32), path_or_hf_repo=model_folder, fp16=fp16, **OPTIONS)
    assert transcription.MODELS.load(model_folder, None, dtype).dtype == dtype


def test_the_package_and_the_module_are_both_the_function(model_folder):
    sound = np.zeros(0, np.float32)
    for function in (mlx_whisper_lora.transcribe, command):
        assert function(sound, path_or_hf_repo=model_folder, **OPTIONS)["segments"] == []


def test_options_that_exclude_each_other_are_reported_before_a_model_is_downloaded():
    with pytest.raises(OptionError, match="vad requires batch_size"):
        transcribe("other.wav", path_or_hf_repo="somebody/whisper-of-three-gigabytes", vad=True)


class ScriptedTranscription(transcription.Transcription):
    """A transcription whose segments are given: one for every window of 30 s."""

    def steps(self):
        for first in range(0, self.n_frames, 3000):
            n_frames = min(3000, self.n_frames - first)
            start, end = first / 100, (first + n_frames) / 100
            segment = Segment(first, start, end, " Hello" if first == 0 else "", [1], 0.0, -0.1, 1.0, 0.0)
            yield Progress([segment], n_frames)


def show(monkeypatch, seconds: float, verbose: bool | None, language: str | None = "en") -> dict:
    monkeypatch.setattr(transcription, "Transcription", ScriptedTranscription)
    sound = np.zeros(round(16000 * seconds), np.float32)
    return transcribe_live(seeded_model("multilingual"), sound, TranscriptionOptions(language=language), verbose)


def test_verbose_true_prints_segments_that_have_text(monkeypatch, capsys):
    result = show(monkeypatch, 34.2, verbose=True)
    assert capsys.readouterr().out == "[00:00.000 --> 00:30.000]  Hello\n"
    assert [segment["end"] for segment in result["segments"]] == [30.0, 34.2]


def test_verbose_false_shows_the_seconds_that_are_done(monkeypatch, capsys):
    show(monkeypatch, 35.5, verbose=False)
    output = capsys.readouterr()
    assert output.out == "" and "36/36 s" in output.err and "100%" in output.err


def test_verbose_none_prints_nothing(monkeypatch, capsys):
    show(monkeypatch, 5, verbose=None, language=None)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [True, False])
def test_the_detected_language_is_printed(verbose, monkeypatch, capsys):
    show(monkeypatch, 2, verbose, language=None)
    lines = capsys.readouterr().out.splitlines()
    if verbose:
        assert lines.pop(0) == "Detecting the language in the first 30 seconds; giving the language skips this."
    assert lines[0].startswith("Detected language: ")


def test_names_that_are_taken_get_a_number():
    assert unique_names(["x", "x", "X", "y.2024"]) == ["x", "x-2", "X-3", "y.2024"]
    assert unique_names(["x", "x", "x-2"]) == ["x", "x-2", "x-2-2"]


def test_a_transcript_is_called_like_its_recording():
    assert [output_stem(name) for name in ("a/y.2024.wav", "-")] == ["y.2024", "content"]
