"""OpenAI's whisper-base: where it comes from, and through every writer and reader."""

import hashlib
import importlib
import json
from pathlib import Path

import mlx.core as mx
import pytest
from huggingface_hub import constants
from mlx.utils import tree_flatten

from mlx_whisper_lora import convert
from mlx_whisper_lora.adapters.adapter_file import fingerprint
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.packaged import packaged_base
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions
from mlx_whisper_lora.whisper.model.alignment_heads import alignment_heads
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tools.real.recordings import recording

SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
JFK = "speech/jfk.flac"
command = importlib.import_module("mlx_whisper_lora.transcribe")  # the attribute of that name may be the function


@pytest.fixture(scope="module", params=("mlx", "hf", "ct2", "ggml"))
def exported(request, tmp_path_factory) -> Path:
    """Return a folder in which `convert` has written base in one of the layouts."""
    folder = tmp_path_factory.mktemp(request.param)
    convert.convert("base", str(folder), ExportOptions(export=request.param))
    return next(folder.glob("*.bin")) if request.param == "ggml" else folder


@pytest.fixture(scope="module")
def transcript(base, recordings) -> dict:
    return transcribe_jfk(base)


def transcribe_jfk(model: Whisper) -> dict:
    """Transcribe with words, so that the alignment heads matter too."""
    return transcribe(model, recording(JFK), language="en", temperature=0.0, word_timestamps=True)


def test_the_installed_packages_hold_openais_base(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))  # no folder that was joined before
    folder = packaged_base()
    assert folder is not None, "pip install -e '.[base]'"
    assert hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest() == SHA256


def test_the_command_transcribes_kennedy_word_for_word(recordings, tmp_path, run_main):
    outcome = run_main(command, "--model", "base", "--audio", recordings / JFK, "--output-dir", tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    spoken = json.loads((recordings / JFK).with_name("metadata.jsonl").read_text(encoding="utf-8"))["text"]
    normalize = NORMALIZERS["english"]
    assert normalize((tmp_path / "jfk.txt").read_text(encoding="utf-8")).split() == normalize(spoken).split()


def test_weights_are_bit_equal_in_every_layout_and_back(base, exported, tmp_path):
    convert.convert(str(exported), str(tmp_path), ExportOptions(export="ct2"))
    for path in (exported, tmp_path):
        assert_same_model(load_model(path, mx.float32), base)


def assert_same_model(model: Whisper, expected: Whisper) -> None:
    assert fingerprint(model) == fingerprint(expected)
    assert alignment_heads(model) == alignment_heads(expected)
    arrays, others = (dict(tree_flatten(each.parameters())) for each in (model, expected))
    assert arrays.keys() == others.keys()
    assert all(mx.array_equal(arrays[name], others[name]).item() for name in others)


def test_transcripts_are_equal_in_every_layout(exported, transcript):
    assert transcribe_jfk(load_model(exported, mx.float32)) == transcript


def test_the_text_is_equal_in_int8(transcript, tmp_path):
    options = ExportOptions(export="ct2", quantize=True, q_bits=8)
    convert.convert("base", str(tmp_path), options)
    assert transcribe_jfk(load_model(tmp_path, mx.float32))["text"] == transcript["text"]
