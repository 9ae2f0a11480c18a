"""Fine-tuning as a whole: adapter files, the best and the last, going on."""

import math
import re

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map

from mlx_whisper_lora.adapters.adapter_file import Base, load_adapter, read_adapter, read_adapter_config
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import fuse_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.dataset import build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training import objective
from mlx_whisper_lora.training.adapter_places import last_adapter_file
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.evaluation import Evaluation
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.clips import noise_examples, write_clips
from tests.support.models import small_model

LORA = LoRAConfig(rank=2, layers=1, targets=("attn.query", "attn.value"))


def run(
    adapter_file, valid: int = 0, lora=LORA, resume=None, overwrite=False, watched=None, **settings
) -> tuple[Whisper, list[str]]:
    """Fine-tune a small model on noise. Return it and the lines printed."""
    model = small_model()
    lines: list[str] = []
    options = RunOptions("base", None, adapter_file, resume_adapter_file=resume, overwrite=overwrite, task="translate")
    quick = {
        "iters": 2,
        "batch_size": 2,
        "warmup": 0,
        "steps_per_eval": 200,
        "audio_context": 2.0,
        "full_context_share": 0.0,
        "pack": 0.0,
    }
    training = TrainingOptions(**quick | settings)
    callback = ConsoleCallback(lines.append)
    finetune(model, noise_examples(4), noise_examples(valid), options, training, lora, callback, watched=watched)
    return model, lines


@pytest.fixture
def scores(monkeypatch):
    """Sets the WERs that evaluations find, one after the other."""

    def prepare(*found: float):
        left = iter(found)
        monkeypatch.setattr(objective, "evaluate", lambda *_, **__: Evaluation(1.0, next(left), 50.0, []))

    return prepare


def logits(model: Whisper) -> np.ndarray:
    mel = mx.array(noise_examples(1)[0].mel[None].astype(np.float32))
    return np.array(model(mel, mx.array([[50258, 50259, 50359, 50363]])))


@pytest.mark.slow
def test_trained_saved_loaded_and_fused_it_is_the_same_model(tmp_path):
    trained, _ = run(tmp_path / "a.npz", iters=4, learning_rate=0.02, lora=LoRAConfig(layers=-1))
    loaded = small_model()
    load_adapter(loaded, tmp_path / "a.npz", "base")
    expected = logits(trained)
    assert np.abs(expected - logits(small_model())).max() > 0.1
    np.testing.assert_allclose(logits(loaded), expected, atol=1e-6)
    fuse_adapter(loaded)
    np.testing.assert_allclose(logits(loaded), expected, atol=1e-4)


def test_the_file_says_what_was_trained(tmp_path):
    run(tmp_path / "a.npz")
    config = read_adapter_config(tmp_path / "a.npz")
    assert (config.settings, config.language, config.task, config.audio_context) == (LORA, "en", "translate", 2.0)
    assert config.base == Base.of(small_model(), "base")


def test_the_file_has_the_clips_and_scores_of_the_run_for_its_card(tmp_path):
    run(tmp_path / "a.npz", valid=3, iters=8, learning_rate=0.02, best_by="loss")
    record = read_adapter_config(tmp_path / "a.npz").record
    assert (record.data, record.minutes, record.scores.clips) == (("demo_clips",), 0.07, 3)
    low, high = record.scores.wer_interval
    assert low <= record.scores.wer <= high and record.scores.base_wer > 0
    assert read_adapter_config(tmp_path / "a_last.npz").record.scores is None


def test_one_seed_gives_one_adapter(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / f"{name}.npz", seed=seed)
    a, b, c = (read_adapter(tmp_path / f"{name}.npz").arrays for name in "abc")
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not any(np.array_equal(a[name], c[name]) for name in a)


def test_the_best_and_the_newest_are_kept(tmp_path, scores):
    scores(90.0, 60.0, 40.0, 50.0)
    model, lines = run(tmp_path / "a.npz", valid=1, iters=3, steps_per_eval=1)
    best, last = read_adapter(tmp_path / "a.npz").arrays, read_adapter(tmp_path / "a_last.npz").arrays
    name = "decoder.blocks.1.attn.query.lora_b"
    np.testing.assert_array_equal(last[name], np.array(dict(tree_flatten(model.parameters()))[name]))
    assert not np.array_equal(best[name], last[name])
    assert [line for line in lines if "Saved" in line] == [
        f"Iter {i}: Saved adapter to {tmp_path / 'a.npz'} (the best so far)" for i in (1, 2)
    ]
    assert next(line for line in lines if "Val" in line) == "Iter 0 (base): Val loss 1.000, WER 90.00 %, CER 50.00 %"
    assert lines[-1] == (
        f"Best: iteration 2, WER 40.00 %, CER 50.00 % (base: WER 90.00 %, CER 50.00 %), in {tmp_path / 'a.npz'}"
    )


@pytest.mark.parametrize(
    ("best_by", "best"), [("wer", 3), ("cer", 2), ("loss", 1)]
)  # at equal WERs, the CER decides, and then the loss
def test_the_best_adapter_is_chosen_by_the_score_asked_for(best_by, best, tmp_path, monkeypatch):
    found = iter([(9, 99, 99), (1, 50, 40), (2, 50, 20), (2, 40, 30), (1.5, 40, 30), (1.5, 40, 30)])
    monkeypatch.setattr(objective, "evaluate", lambda *_, **__: Evaluation(*map(float, next(found)), []))
    _, lines = run(tmp_path / "a.npz", valid=1, iters=3, steps_per_eval=1, best_by=best_by)
    assert f"Best: iteration {best}," in lines[-1]


def test_the_adapters_of_the_last_evaluations_are_kept_by_the_name_of_their_step(tmp_path):
    run(tmp_path / "a_0000009.npz")
    other = (tmp_path / "a_0000009.npz").read_bytes()  # of another run
    run(tmp_path / "a.npz", iters=5, steps_per_eval=1, keep_last=2)
    names = {path.name for path in tmp_path.glob("a_0*")}
    assert names == {"a_0000004.npz", "a_0000005.npz", "a_0000009.npz", "a_0000009_last.npz"}
    assert (tmp_path / "a_0000009.npz").read_bytes() == other
    kept, newest = (read_adapter(tmp_path / f"a_{name}.npz").arrays for name in ("0000005", "last"))
    assert all(np.array_equal(kept[name], newest[name]) for name in newest)


def test_other_validation_sets_are_reported_and_decide_nothing(tmp_path, scores):
    scores(90.0, 10.0, 60.0, 20.0, 70.0, 5.0)  # of the validation clips and of English, in turns
    watched = {"english": noise_examples(2)}
    _, lines = run(tmp_path / "a.npz", valid=1, iters=2, steps_per_eval=1, watched=watched)
    assert [line.split(", CER")[0] for line in lines if "WER" in line] == [
        "Iter 0 (base): Val loss 1.000, WER 90.00 %",
        "Iter 0 (base): english: Loss 1.000, WER 10.00 %",
        "Iter 1: Val loss 1.000, WER 60.00 %",
        "Iter 1: english: Loss 1.000, WER 20.00 %",
        "Iter 2: Val loss 1.000, WER 70.00 %",
        "Iter 2: english: Loss 1.000, WER 5.00 %",
        "Best: iteration 1, WER 60.00 %",
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_base_in_half_precision_learns_as_one_in_float32(dtype, tmp_path):
    given = {"iters": 8, "learning_rate": 0.01, "steps_per_report": 1}

    def losses(name: str, **settings) -> np.ndarray:
        model, lines = run(tmp_path / f"{name}.npz", **given, **settings)
        types = {array.dtype for _, array in tree_flatten(model.trainable_parameters())}
        assert types == {mx.float32} and model.dtype == getattr(mx, settings.get("dtype", "float32"))
        return np.array([float(re.search(r"Train loss ([\d.]+)", line)[1]) for line in lines if "Train loss" in line])

    expected = losses("a")
    assert expected[-1] < expected[0] - 0.2
    np.testing.assert_allclose(losses("b", dtype=dtype), expected, rtol=0.01)
    assert read_adapter_config(tmp_path / "b.npz").base == Base.of(small_model(), "base")
    run(tmp_path / "c.npz", resume=tmp_path / "b.npz", lora=None, dtype=dtype)  # its base is recognized


def test_training_ends_early_if_nothing_gets_better(tmp_path, scores):
    scores(90.0, 60.0, 70.0, 50.0, 55.0, 50.5)
    _, lines = run(tmp_path / "a.npz", valid=1, iters=9, steps_per_eval=1, steps_per_report=1, early_stopping=2)
    assert [line.split(":")[0] for line in lines if "Train loss" in line] == [f"Iter {i}" for i in range(1, 6)]
    assert lines[-2] == "Iter 5: no better adapter for too long (early stopping): training ends"
    assert "Best: iteration 3, WER 50.00 %" in lines[-1]
    with pytest.raises(OptionError, match="early_stopping needs validation clips, and there are none"):
        run(tmp_path / "b.npz", early_stopping=2)


@pytest.mark.parametrize("later", [(90.0, 95.0), (math.nan, math.inf)])
def test_no_adapter_that_is_worse_than_the_base_or_nan_is_kept_as_the_best(later, tmp_path, scores):
    scores(90.0, *later)
    _, lines = run(tmp_path / "a.npz", valid=1, iters=2, steps_per_eval=1)
    assert not (tmp_path / "a.npz").exists() and (tmp_path / "a_last.npz").exists()
    assert lines[-1] == (
        f"No adapter was better than the base (WER 90.00 %, CER 50.00 %): {tmp_path / 'a.npz'} was not written; the "
        f"newest adapter is in {tmp_path / 'a_last.npz'}"
    )


def test_an_adapter_that_is_not_finite_replaces_no_file(tmp_path, monkeypatch):
    def spoil(gradients, norm):
        return tree_map(lambda gradient: gradient * mx.nan, gradients), mx.array(norm)

    run(tmp_path / "a.npz")
    before = (tmp_path / "a_last.npz").read_bytes()
    monkeypatch.setattr(optim, "clip_grad_norm", spoil)
    with pytest.raises(FloatingPointError, match="is not finite, so it was not saved; lower the learning rate"):
        run(tmp_path / "a.npz", iters=1, overwrite=True)
    assert (tmp_path / "a_last.npz").read_bytes() == before


@pytest.mark.parametrize("name", ["a.npz", "a_last.npz"])
def test_an_adapter_of_another_run_is_not_replaced(name, tmp_path):
    run(tmp_path / "a.npz")
    run(tmp_path / "other.npz")
    for path in tmp_path.glob("a*.npz"):
        if path.name != name:
            path.unlink()
    message = f"{name}: an adapter of another run is there; give overwrite to replace it"
    with pytest.raises(OptionError, match=message):
        run(tmp_path / "a.npz")
    with pytest.raises(OptionError, match=message):
        run(tmp_path / "a.npz", resume=tmp_path / "other.npz")
    run(tmp_path / "a.npz", overwrite=True)


def test_without_clips_to_validate_on_the_newest_is_kept(tmp_path):
    _, lines = run(tmp_path / "a.npz")
    assert lines[-1] == f"Iter 2: Saved adapter to {tmp_path / 'a.npz'}"
    one, other = (read_adapter(tmp_path / name).arrays for name in ("a.npz", "a_last.npz"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_the_trainable_parameters_are_reported(tmp_path):
    _, lines = run(tmp_path / "a.npz")
    # 2 layers x (64 x 2 + 2 x 64) parameters on each side
    assert re.fullmatch(r"Trainable parameters: encoder 0\.001M, decoder 0\.001M \(0\.0\d\d % of 3\.\d+M\)", lines[1])


def test_resuming_continues_from_the_adapter_with_its_own_settings(tmp_path):
    first, _ = run(tmp_path / "a.npz", iters=3, learning_rate=0.02)
    model, lines = run(
        tmp_path / "b.npz", resume=tmp_path / "a.npz", lora=LoRAConfig(rank=7), iters=1, learning_rate=1e-9
    )
    assert lines[0] == f"Resuming from {tmp_path / 'a.npz'}: rank 2, layers 1, targets attn.query, attn.value"
    np.testing.assert_allclose(logits(model), logits(first), atol=1e-4)
    assert read_adapter_config(tmp_path / "b.npz").settings == LORA


def test_resuming_does_not_lose_an_adapter_that_was_better(tmp_path, scores):
    """The base, the adapter that was kept, the one that training starts from, and the one after training."""
    run(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    scores(90.0, 30.0, 40.0, 35.0)
    _, lines = run(tmp_path / "a.npz", valid=1, resume=tmp_path / "a_last.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert lines[-1] == f"The adapter in {tmp_path / 'a.npz'} is still the best (WER 30.00 %, CER 50.00 %)"
    scores(90.0, 30.0, 40.0, 29.0)
    run(tmp_path / "a.npz", valid=1, resume=tmp_path / "a_last.npz")
    assert (tmp_path / "a.npz").read_bytes() != before


def test_the_adapter_names_the_clips_that_it_was_trained_on(tmp_path, model):
    clips = load_clips(write_clips(tmp_path / "clips"))
    train_set = build_examples(clips["train"], model).examples
    training = TrainingOptions(iters=1, batch_size=2, audio_context=0.0)
    finetune(model, train_set, [], RunOptions("base", adapter_file=tmp_path / "a.npz"), training, LORA)
    config = read_adapter_config(tmp_path / "a.npz")
    assert config.clips == {audio_hash(clip) for clip in clips["train"]}
    assert not config.clips & {audio_hash(clip) for clip in clips["test"]}


def test_resuming_on_another_base_is_refused(tmp_path):
    run(tmp_path / "a.npz")
    with pytest.raises(AdapterError, match=r"trained on base .*and other has the same dimensions but other weights"):
        options = RunOptions("other", adapter_file=tmp_path / "b.npz", resume_adapter_file=tmp_path / "a.npz")
        finetune(small_model(seed=1), noise_examples(2), [], options, TrainingOptions(), LORA)


def test_an_interrupted_training_keeps_the_newest_adapter(tmp_path, monkeypatch):
    lines: list[str] = []
    model = small_model()
    monkeypatch.setattr(optim, "clip_grad_norm", interrupt_third(optim.clip_grad_norm))
    with pytest.raises(KeyboardInterrupt):
        options = RunOptions("base", adapter_file=tmp_path / "a.npz")
        training = TrainingOptions(iters=9, batch_size=2, warmup=0, steps_per_eval=9, audio_context=0.0)
        finetune(model, noise_examples(4), [], options, training, LORA, ConsoleCallback(lines.append))
    assert lines[-1] == f"Interrupted: saved the newest adapter to {tmp_path / 'a_last.npz'}"
    assert not (tmp_path / "a.npz").exists()
    name = "decoder.blocks.1.attn.query.lora_b"
    saved = read_adapter(tmp_path / "a_last.npz").arrays[name]
    np.testing.assert_array_equal(saved, np.array(dict(tree_flatten(model.parameters()))[name]))
    assert np.abs(saved).max() > 0


def interrupt_third(function):
    """`function`, but Control-C comes in its third call."""
    calls = []

    def wrapped(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return function(*args)

    return wrapped


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("missing/a.npz", FileNotFoundError, "the folder for this file does not"),
        (".", IsADirectoryError, "is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_reported_before_training(path, error, message, tmp_path):
    with pytest.raises(error, match=message):
        run(tmp_path / path)


def test_the_newest_adapter_lies_beside_the_best():
    assert str(last_adapter_file("x/telugu.v2.npz")) == "x/telugu.v2_last.npz"
