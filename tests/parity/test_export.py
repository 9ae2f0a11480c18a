"""Other programs open the folder that `fuse --export hf` writes, and transcribe the same.

The programs are transformers, CTranslate2 (faster-whisper's engine) if it is installed, and whisper.cpp's converter if
WHISPER_CPP names a checkout of it.
"""

import itertools
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import torch
import whisper
from mlx.utils import tree_flatten
from transformers import AutoTokenizer, WhisperForConditionalGeneration, WhisperProcessor

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import TARGETS, LoRAConfig
from mlx_whisper_lora.fuse import fuse
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_ctranslate2
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import ExportOptions, save_model
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tests.parity.pairs import DEMO, MODELS, pair, windows
from tests.parity.scripts import SENTENCES

LENGTH = 40  # tokens


@dataclass(frozen=True)
class Fused:
    """A fused model that the port has read back, and the folder of transformers that `fuse` wrote."""

    model: Whisper
    folder: Path
    windows: list[np.ndarray]

    @property
    def tokenizer(self) -> Tokenizer:
        return self.model.tokenizer("en")

    def mel(self, window: np.ndarray) -> mx.array:
        return log_mel_spectrogram(window, self.model.dims.n_mels)

    def text_tokens(self, window: np.ndarray) -> list[int]:
        options = {"language": "en", "without_timestamps": True, "sample_len": LENGTH}
        return decode(self.model, self.mel(window), **options).tokens


@pytest.fixture(scope="module", params=MODELS)
def fused(request, tmp_path_factory) -> Fused:
    folder = tmp_path_factory.mktemp(request.param)
    base, adapter_file, exported = str(folder / "base"), str(folder / "adapters.npz"), folder / "fused"
    save_model(pair(request.param).ours, base)
    adapted = load_model(base, mx.float32)
    config = AdapterConfig(LoRAConfig(layers=-1, targets=TARGETS), "en", "transcribe", 30.0, Base.of(adapted, base))
    mx.random.seed(1)
    add_adapter(adapted, config.settings)
    for module in adapter_modules(adapted).values():
        module.lora_b = 0.01 * mx.random.normal(module.lora_b.shape)
    save_adapter(adapter_file, adapted, config)
    fuse(adapter_file, str(exported), options=ExportOptions("float32", export="hf"))
    return Fused(load_model(exported, mx.float32), exported, windows(request.param)[-2:])


@pytest.fixture(scope="module")
def processor(fused) -> WhisperProcessor:
    return WhisperProcessor.from_pretrained(fused.folder)


@pytest.fixture(scope="module")
def transformers_model(fused) -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(fused.folder).eval()


def test_transformers_splits_text_into_the_same_tokens(fused, processor):
    plain = [text for text in SENTENCES if "<|" not in text]  # transformers takes these for special tokens
    for text in plain:
        assert processor.tokenizer(text, add_special_tokens=False).input_ids == fused.tokenizer.encode(text)


def test_transformers_encodes_and_decodes_the_same_special_tokens(fused, processor):
    theirs, ours = processor.tokenizer, fused.tokenizer
    text = " The kettle wasn't on; 7:45."
    plain = [ours.sot, ours.no_timestamps, *ours.encode(text), ours.eot]
    assert theirs(text).input_ids == AutoTokenizer.from_pretrained(fused.folder)(text).input_ids == plain
    assert theirs.decode(plain, skip_special_tokens=True) == text
    assert theirs.decode(plain) == ours.decode_with_timestamps(plain)
    assert theirs.normalize("The colour's grey") == "the color is gray"  # with the spellings of normalizer.json
    if fused.model.is_multilingual:
        theirs.set_prefix_tokens(language="te", task="translate", predict_timestamps=True)
        start = fused.model.tokenizer("te", "translate").sot_sequence
        assert theirs(text).input_ids == [*start, *ours.encode(text), ours.eot]


def test_transformers_computes_the_same_log_mels(fused, processor):
    for window in fused.windows:
        features = processor(window, sampling_rate=16000, return_tensors="np").input_features
        np.testing.assert_allclose(features[0].T, np.array(fused.mel(window)), rtol=0, atol=1e-4)


def generated(fused, processor, transformers_model, window: np.ndarray, timestamps: bool) -> list[int]:
    """Return the text and timestamp tokens that transformers generates greedily."""
    features = processor(window, sampling_rate=16000, return_tensors="pt").input_features
    language = {"language": "en", "task": "transcribe"} if fused.model.is_multilingual else {}
    with torch.no_grad():
        output = transformers_model.generate(
            features, return_timestamps=timestamps, do_sample=False, num_beams=1, max_new_tokens=LENGTH, **language
        )
    tokenizer = fused.tokenizer
    return [token for token in output[0].tolist() if not tokenizer.eot <= token < tokenizer.timestamp_begin]


def test_transformers_writes_the_same_text(fused, processor, transformers_model):
    for window in fused.windows:
        assert generated(fused, processor, transformers_model, window, False) == fused.text_tokens(window)


def test_transformers_writes_the_same_segments(fused, processor, transformers_model):
    begin = fused.tokenizer.timestamp_begin
    for window in fused.windows:
        found = generated(fused, processor, transformers_model, window, True)
        # Like transformers, which continues after the last timestamp until the audio ends.
        result = transcribe(
            fused.model,
            window,
            language="en",
            temperature=0.0,
            sample_len=LENGTH,
            no_speech_threshold=None,
            condition_on_previous_text=False,
        )
        tokens = [token for segment in result["segments"] for token in segment["tokens"]]
        assert timed_runs(found, begin) == timed_runs(tokens, begin)


def timed_runs(tokens: list[int], timestamp_begin: int) -> list[list[int]]:
    """Return the runs of timestamp, text, timestamp. Transformers also keeps timestamps without text after them."""
    marks = [i for i, token in enumerate(tokens) if token >= timestamp_begin]
    return [tokens[start : end + 1] for start, end in itertools.pairwise(marks) if end > start + 1]


def test_ctranslate2_writes_the_same_text(fused, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    ctranslate2.converters.TransformersConverter(str(fused.folder)).convert(str(tmp_path / "converted"))
    model = ctranslate2.models.Whisper(str(tmp_path / "converted"), compute_type="float32")
    start = list(fused.tokenizer.sot_sequence_including_notimestamps)
    for window in fused.windows:
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(np.array(fused.mel(window)).T[None]))
        (answer,) = model.generate(features, [start], beam_size=1, max_length=2 * LENGTH)  # it writes half of that
        assert [token for token in answer.sequences_ids[0] if token != fused.tokenizer.eot] == fused.text_tokens(window)


def test_int8_is_written_byte_for_byte_as_by_ctranslate2(fused, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    converter = ctranslate2.converters.TransformersConverter(str(fused.folder))
    converter.convert(str(tmp_path / "theirs"), quantization="int8")
    write_ctranslate2(fused.model, tmp_path / "ours", int8=True)
    theirs, ours = ((tmp_path / folder / "model.bin").read_bytes() for folder in ("theirs", "ours"))
    assert ours == theirs


@pytest.mark.skipif("WHISPER_CPP" not in os.environ, reason="WHISPER_CPP does not name a checkout of whisper.cpp")
def test_whisper_cpps_converter_writes_its_file(fused, tmp_path):
    converter = Path(os.environ["WHISPER_CPP"]) / "models" / "convert-h5-to-ggml.py"
    package = Path(whisper.__file__).parent.parent  # it takes the mel filters from there
    subprocess.run([sys.executable, converter, fused.folder, package, tmp_path], check=True)
    assert (tmp_path / "ggml-model.bin").stat().st_size > 1e6


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_bit_equal_after_conversion_and_back(name, tmp_path):
    """Convert from openai-whisper's .pt to MLX, to transformers, and back to MLX."""
    model = pair(name).ours  # read from a .pt file
    save_model(model, tmp_path / "mlx")
    save_hf_model(load_model(tmp_path / "mlx", mx.float32), tmp_path / "hf")
    returned = load_model(tmp_path / "hf", mx.float32)
    arrays, expected = (dict(tree_flatten(each.parameters())) for each in (returned, model))
    assert arrays.keys() == expected.keys()
    assert all(array.dtype == mx.float32 and mx.array_equal(array, expected[key]) for key, array in arrays.items())
    if name == DEMO:
        bundled = dict(tree_flatten(load_model(DEMO, mx.float32).parameters()))
        assert all(mx.array_equal(array, bundled[key]) for key, array in arrays.items())
