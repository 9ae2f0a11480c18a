"""The `convert` command, which writes a model in another form."""

import json
import os
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora import convert, fuse, lora
from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.transcribe import transcribe
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.quantization import quantization_of
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.clips import tone
from tests.support.models import small_model
from tests.support.pt_writer import write_openai_checkpoint


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def arrays(model: Whisper) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


@pytest.mark.slow
def test_weights_are_bit_equal_after_openai_to_mlx_to_transformers_to_mlx(run_main):
    write_openai_checkpoint(Path("small.pt"), small_model())
    form = ("--dtype", "float32", "--save-path")
    outcome = run_main(convert, "--model", "small.pt", *form, "mlx")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Converted small.pt: mlx\n", "")
    assert run_main(convert, "--model", "mlx", "--export", "hf", *form, "hf").code == 0
    assert run_main(convert, "--model", "hf", *form, "again").code == 0
    expected = arrays(small_model())
    for name in ("small.pt", "mlx", "hf", "again"):
        found = arrays(load_model(name, mx.float32))
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], array) for key, array in expected.items()), name
    assert Path("mlx/weights.safetensors").read_bytes() == Path("again/weights.safetensors").read_bytes()


def test_every_command_takes_a_pt_file(run_main, clips_folder, tmp_path):
    write_openai_checkpoint(Path("small.pt"), small_model())
    outcome = run_main(lora, "--test", "--model", "small.pt", "--data", clips_folder)
    assert outcome.code == 0 and "Test loss" in outcome.out
    result = transcribe(tone(1.0), path_or_hf_repo="small.pt", temperature=0.0, no_speech_threshold=None)
    assert result["text"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weights_have_the_type_of_the_option(dtype, model_folder, run_main):
    assert run_main(convert, "--model", model_folder, "--dtype", dtype).code == 0
    weights = mx.load("converted_model/weights.safetensors")
    assert {array.dtype for array in weights.values()} == {getattr(mx, dtype)}


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantized_model_is_smaller_and_transcribes(bits, model_folder, run_main):
    assert run_main(convert, "--model", model_folder, "--quantize", "--q-bits", bits, "--q-group-size", 32).code == 0
    config = json.loads(Path("converted_model/config.json").read_text())
    assert config["quantization"] == {"group_size": 32, "bits": bits}
    # Each group of 32 weights also has a scale and a bias of 16 bits each.
    plain, size = (os.path.getsize(f"{path}/weights.safetensors") for path in (model_folder, "converted_model"))
    assert size / plain == pytest.approx((bits + 1) / 32, rel=0.1)
    model = load_model("converted_model")
    assert quantization_of(model).bits == bits
    result = transcribe(tone(1.0), path_or_hf_repo="converted_model", temperature=0.0)
    assert set(result) == {"text", "segments", "language"}


@pytest.mark.parametrize(("bits", "nats"), [(8, 0.05), (4, 0.5)])
def test_a_quantized_model_has_nearly_the_loss_of_the_plain_one(
    bits, nats, demo_model_folder, demo_clips_folder, run_main
):
    """The loss of four clips; word error rates, as tools/bench/quantization.py compares them, take more clips."""
    assert run_main(convert, "--model", demo_model_folder, "--quantize", "--q-bits", bits).code == 0
    clips = load_clips(demo_clips_folder)["test"][:4]
    losses = []
    for name in (demo_model_folder, "converted_model"):
        model = load_model(name, mx.float32)
        batch = make_batch(build_examples(clips, model, None, "transcribe")[0])
        losses.append(cross_entropy_loss(model, batch).item() / len(batch.labels))
    assert losses[1] == pytest.approx(losses[0], abs=nats)


@pytest.mark.slow
def test_an_adapter_trains_on_a_quantized_model(model_folder, clips_folder, run_main):
    assert run_main(convert, "--model", model_folder, "-q", "--dtype", "float32", "--save-path", "q").code == 0
    train = ("--train", "--model", "q", "--data", clips_folder, "--iters", 2, "--lora-layers", 1)
    outcome = run_main(lora, *train, "--audio-context", 1.5)
    assert outcome.code == 0, outcome.err
    outcome = run_main(fuse, "--dtype", "float16")
    assert outcome.code == 0 and load_model("fused_model").dims == small_model().dims


def test_a_quantized_model_becomes_a_plain_one(model_folder, run_main):
    assert run_main(convert, "--model", model_folder, "-q", "--q-bits", 8, "--save-path", "q").code == 0
    assert run_main(convert, "--model", "q", "--dtype", "float32", "--save-path", "plain").code == 0
    plain, original = load_model("plain", mx.float32), load_model(model_folder, mx.float32)
    assert quantization_of(plain) is None and arrays(plain).keys() == arrays(original).keys()
    weight = "decoder.blocks.0.mlp1.weight"
    difference = np.abs(arrays(plain)[weight] - arrays(original)[weight]).max()
    assert difference < np.ptp(arrays(original)[weight]) / 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--model", "none"),
            "none: model not found; give a folder, a .pt file or a Hugging Face repository (owner/name), or a size: t",
        ),
        (
            ("--save-path", "model"),
            "model: the result would replace the model that it is made from: give another folder",
        ),
        (
            ("--export", "hf", "--quantize"),
            "--export hf is written with plain weights: give no --quantize",
        ),
        (
            ("--quantize", "--q-group-size", "128"),
            "groups of 128 weights do not divide this model's width of 64: give another group size out of 32, 64",
        ),
    ],
)
def test_a_conversion_that_is_not_possible_is_one_line_and_leaves_nothing(arguments, message, model_folder, run_main):
    Path("model").symlink_to(model_folder)
    outcome = run_main(convert, "--model", "model", *arguments)
    assert outcome.code != 0 and outcome.err.count("\n") == 1 and message in outcome.err
    assert os.listdir() == ["model"]


def test_a_file_of_whisper_cpp_is_not_replaced_by_what_is_made_from_it(model_folder, run_main):
    assert run_main(convert, "--model", model_folder, "--export", "ggml", "--save-path", "ggml").code == 0
    before = Path("ggml/ggml-model.bin").read_bytes()
    outcome = run_main(convert, "--model", "ggml/ggml-model.bin", "--export", "ggml", "--save-path", "./ggml/")
    assert outcome.code == 1 and "would replace the model that it is made from" in outcome.err
    assert Path("ggml/ggml-model.bin").read_bytes() == before


@pytest.mark.parametrize("old", ["mlx", "ct2", "hf", "ggml"])
@pytest.mark.parametrize("new", ["mlx", "ct2", "hf", "ggml"])
def test_a_model_of_another_layout_is_not_mixed_with_the_new_one(old, new, model_folder, run_main):
    given = ("--model", model_folder, "--dtype", "float32", "--save-path", "both", "--export")
    assert run_main(convert, *given, old).code == 0
    outcome = run_main(convert, *given, new)
    if old == new:
        assert outcome.code == 0
    else:
        assert outcome.code == 2 and outcome.err.startswith("mlx_whisper_lora.convert: error: both: it has other files")
    found, expected = (arrays(load_model(name, mx.float32)) for name in ("both", model_folder))
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_a_model_is_not_written_among_clips(model_folder, clips_folder, run_main):
    outcome = run_main(convert, "--model", model_folder, "--save-path", clips_folder)
    assert outcome.code == 2 and "a model is written into a folder of its own: give another --save-path" in outcome.err
    assert not (clips_folder / "config.json").exists()
