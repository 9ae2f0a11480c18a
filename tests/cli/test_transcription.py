"""The function that takes the place of mlx_whisper.transcribe, and the printing of transcripts."""

import os
import sys

import mlx.core as mx
import numpy as np
import pytest

import mlx_whisper_lora.transcribe
from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.adapters.loading import ModelHolder
from mlx_whisper_lora.cli.recordings import output_stem, unique_names
from mlx_whisper_lora.cli.transcription import transcribe
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.option import OptionError
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
    monkeypatch.setattr(loading, "load_model", lambda *args, **named: loads.append(args) or load(*args, **named))
    ModelHolder.model = None
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
    assert ModelHolder.model.dtype == dtype


def test_a_program_may_preload_a_model_put_one_there_or_free_it(model_folder):
    ModelHolder.model = None
    sound = np.zeros(0, np.float32)
    preloaded = ModelHolder.get_model(model_folder, mx.float32)
    transcribe(sound, path_or_hf_repo=str(model_folder), **OPTIONS)
    assert ModelHolder.model is preloaded
    ModelHolder.model, ModelHolder.model_path = seeded_model("english"), "mine"
    assert transcribe(sound, path_or_hf_repo="mine", **OPTIONS)["segments"] == []
    assert ModelHolder.model is seeded_model("english")
    ModelHolder.model = None
    with pytest.raises(CheckpointError, match="mine: model not found"):
        transcribe(sound, path_or_hf_repo="mine", **OPTIONS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: transcribe(model), "give a recording: transcribe"),
        (lambda model: transcribe("x.wav", model), "give a recording: transcribe"),
        (lambda model: transcribe(model, "x.wav", path_or_hf_repo="base"), "give model or path_or_hf_repo, not both"),
        (lambda model: transcribe(3, "x.wav"), "model must be a loaded model or the name of one, got a int"),
        (lambda model: transcribe(model, "x.wav", adapter_file="a.npz"), "adapter_file requires a model by its name"),
        (
            lambda model: transcribe("x.wav", adapter_fle="a.npz"),
            "unknown argument adapter_fle; did you mean adapter_file",
        ),
    ],
)
def test_a_call_that_cannot_be_understood_is_one_line(call, message):
    with pytest.raises(OptionError, match=message):
        call(seeded_model("english"))


def test_the_package_and_the_module_are_both_the_function(model_folder):
    sound = np.zeros(0, np.float32)
    for function in (mlx_whisper_lora.transcribe, command):
        assert function(sound, path_or_hf_repo=model_folder, **OPTIONS)["segments"] == []


def test_options_that_exclude_each_other_are_reported_before_a_model_is_downloaded():
    with pytest.raises(OptionError, match="vad requires batch_size"):
        transcribe("other.wav", path_or_hf_repo="somebody/whisper-of-three-gigabytes", vad=True)


def test_names_that_are_taken_get_a_number():
    assert unique_names(["x", "x", "X", "y.2024"]) == ["x", "x-2", "X-3", "y.2024"]
    assert unique_names(["x", "x", "x-2"]) == ["x", "x-2", "x-2-2"]


def test_a_transcript_is_called_like_its_recording():
    assert [output_stem(name) for name in ("a/y.2024.wav", "-")] == ["y.2024", "content"]
