"""The training loop."""

from dataclasses import replace

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.packing import Packer
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.callbacks import Callback, StepReport
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.schedules import learning_rate_schedule
from tests.support.clips import noise_examples
from tests.support.models import small_model
from tests.support.training import training_hooks


class Recorder(Callback):
    """Keeps the reports of steps."""

    def __init__(self):
        self.reports: list[StepReport] = []

    def step(self, report: StepReport) -> None:
        self.reports.append(report)


def run(dataset=None, dropout: float = 0.0, on_evaluate=lambda iteration: None, **settings) -> list[StepReport]:
    """Train the adapter of a fresh model. Return the reports."""
    settings = {"iters": 5, "batch_size": 2, "warmup": 0, "steps_per_report": 1, "full_context_share": 0.0} | settings
    options = TrainingOptions(**settings)
    model = small_model()
    mx.random.seed(options.seed)
    add_adapter(model, LoRAConfig(layers=-1, dropout=dropout))
    recorder = Recorder()
    train(
        model, noise_examples(4) if dataset is None else dataset, options, on_evaluate, recorder, *training_hooks(model)
    )
    return recorder.reports


def losses(reports: list[StepReport]) -> list[float]:
    return [report.loss for report in reports]


@pytest.mark.slow
def test_a_small_problem_is_learned():
    model = small_model()
    recorder = Recorder()
    args = TrainingOptions(
        iters=60, batch_size=4, learning_rate=3e-3, warmup=3, steps_per_report=1, audio_context=0.0, max_grad_norm=10.0
    )
    train(model, noise_examples(4), args, lambda iteration: None, recorder, *training_hooks(model))
    found = losses(recorder.reports)
    assert found[0] > 8 and found[-1] < 1.0


def test_reports_come_on_their_steps_and_after_the_last():
    assert [report.iteration for report in run(iters=5, steps_per_report=2)] == [2, 4, 5]


def test_a_report_is_the_mean_of_its_steps():
    each, pairs = losses(run(iters=4)), losses(run(iters=4, steps_per_report=2))
    assert pairs == pytest.approx([(each[0] + each[1]) / 2, (each[2] + each[3]) / 2])


def trained_parameters(**settings) -> dict[str, np.ndarray]:
    args = TrainingOptions(**{"iters": 3, "batch_size": 2, "warmup": 0, "full_context_share": 0.0} | settings)
    model = small_model()
    mx.random.seed(args.seed)
    add_adapter(model, LoRAConfig(layers=1, dropout=0.1))
    train(model, noise_examples(4), args, lambda iteration: None, Callback(), *training_hooks(model))
    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


def test_one_seed_gives_one_result_exactly():
    one, same, other = trained_parameters(seed=3), trained_parameters(seed=3), trained_parameters(seed=4)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    changed = {name for name in one if not np.array_equal(one[name], other[name])}
    assert changed and all(name.endswith(("lora_a", "lora_b")) for name in changed)


def test_the_base_stays_as_it_is():
    base = dict(tree_flatten(small_model().parameters()))
    for name, array in trained_parameters(learning_rate=0.1, weight_decay=0.5).items():
        if "lora_" not in name:
            np.testing.assert_array_equal(array, base[name.replace(".linear.", ".")])


def test_evaluations_come_on_their_steps_and_after_the_last():
    found: list[int] = []
    run(iters=5, steps_per_eval=2, on_evaluate=found.append)
    assert found == [2, 4, 5]


def test_dropout_is_off_while_evaluating():
    model = small_model()
    add_adapter(model, LoRAConfig(layers=1, dropout=0.5))
    seen: list[bool] = []
    args = TrainingOptions(iters=2, batch_size=2, steps_per_eval=1, audio_context=0.0)
    train(
        model,
        noise_examples(4),
        args,
        lambda iteration: seen.append(model.training),
        Callback(),
        *training_hooks(model),
    )
    assert seen == [False, False] and not model.training


def rates(args: TrainingOptions) -> list[float]:
    schedule = learning_rate_schedule(args)
    return [float(schedule(mx.array(step))) for step in range(args.iters)]


def test_the_learning_rate_warms_up_from_the_first_step_and_falls_by_a_cosine_to_a_hundredth():
    found = rates(TrainingOptions(iters=101, warmup=20, learning_rate=1e-3))
    np.testing.assert_allclose(found[:21], np.linspace(1e-3 / 21, 1e-3, 21), rtol=1e-5)
    falling = 1e-5 + (1e-3 - 1e-5) * (1 + np.cos(np.pi * np.linspace(0, 1, 81))) / 2
    np.testing.assert_allclose(found[20:], falling, rtol=1e-4)


def test_the_learning_rate_without_warm_up():
    found = rates(TrainingOptions(iters=11, warmup=0, learning_rate=1e-3))
    assert found[0] == pytest.approx(1e-3) and found[-1] == pytest.approx(1e-5) and sorted(found, reverse=True) == found


def test_the_learning_rate_can_fall_linearly_or_stay():
    options = TrainingOptions(iters=12, warmup=1, learning_rate=1.0)
    linear, constant = (rates(replace(options, lr_schedule=name)) for name in ("linear", "constant"))
    assert linear[0] == constant[0] == 0.5
    np.testing.assert_allclose(linear[1:], np.linspace(1, 0.01, 11), rtol=1e-5)
    assert constant[1:] == [1.0] * 11


@pytest.mark.parametrize(("warmup", "expected"), [(1, [0.5e-3, 1e-3, 1e-5]), (3, [0.25e-3, 0.5e-3, 0.75e-3])])
def test_every_step_of_a_short_run_has_a_rate_above_0(warmup, expected):
    assert rates(TrainingOptions(iters=3, warmup=warmup, learning_rate=1e-3)) == pytest.approx(expected)


def test_a_warm_up_longer_than_the_run_takes_all_of_it():
    assert TrainingOptions(iters=10, warmup=10**9).resolve(4).warmup == 10


def test_reported_rates_are_the_schedules():
    found = [report.learning_rate for report in run(iters=4, warmup=2, learning_rate=1e-3)]
    assert found == pytest.approx(rates(TrainingOptions(iters=4, warmup=2, learning_rate=1e-3)))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_given_share_of_the_text_is_trained_in_windows_of_several_clips(share, clips_folder):
    model = small_model(n_text_ctx=448)
    clips = build_examples(load_clips(clips_folder)["train"], model).examples
    examples: list[Example] = []

    def collate(batch, frames):
        examples.extend(batch)
        return make_batch(batch, frames)

    packer = Packer(clips, model, "transcribe", seconds=10.0, timestamps_share=0.5)
    options = TrainingOptions(iters=20, batch_size=2, pack=share, full_context_share=0.0)
    add_adapter(model, LoRAConfig(layers=1))
    train(model, clips, options, lambda iteration: None, Callback(), collate, cross_entropy_loss, packer)
    packed = sum(each.n_targets for each in examples if each.once) / sum(each.n_targets for each in examples)
    assert packed == (share if share in (0, 1) else pytest.approx(share, abs=0.15))


def test_a_loss_that_is_not_finite_ends_training_and_leaves_the_parameters_of_the_step_before():
    broken = Example(np.full((100, 80), np.nan, np.float16), (1, 2, 3), 1, text="broken")
    model = small_model()
    add_adapter(model, LoRAConfig(layers=1))
    options = TrainingOptions(iters=5, batch_size=2, full_context_share=0.0)
    seen: list[dict] = []

    def collate(examples, frames):
        seen.append(dict(tree_flatten(model.trainable_parameters())))
        return make_batch(examples, frames)

    with pytest.raises(FloatingPointError, match=r"not finite at iteration 1: .*look at its clips \('', 'broken'\)|.*"):
        train(
            model, [broken, noise_examples(1)[0]], options, lambda iteration: None, Callback(), collate,
            cross_entropy_loss,
        )  # fmt: skip
    for name, array in tree_flatten(model.trainable_parameters()):
        assert np.array_equal(np.array(array), np.array(seen[-1][name]))


def test_several_batches_of_a_step_are_one_large_batch():
    large = run(noise_examples(8), batch_size=8, iters=3)
    several = run(noise_examples(8), batch_size=2, grad_accumulation_steps=4, iters=3)
    assert losses(several) == pytest.approx(losses(large), rel=1e-6)


def test_passes_over_the_clips_decide_the_number_of_steps():
    def iters(n_clips: int, **settings) -> int:
        return TrainingOptions(**settings).resolve(n_clips).iters

    assert iters(10, epochs=3, batch_size=4) == 8  # 7.5
    assert iters(10, epochs=3, batch_size=2, grad_accumulation_steps=2) == 8
    assert iters(10, epochs=0.01) == 1
    assert iters(3, epochs=2, batch_size=8) == 2  # a step has all clips
    with pytest.raises(ValueError, match="iters and epochs exclude each other"):
        TrainingOptions(iters=1, epochs=1)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="there are no clips to train on"):
        run([])


def test_each_step_is_one_of_adamw_on_the_mean_loss(monkeypatch):
    """The gradient given to the optimizer does not grow with the number of label tokens."""
    norms = []
    clip = optim.clip_grad_norm
    monkeypatch.setattr(optim, "clip_grad_norm", lambda g, m: (norms.append(clip(g, m)[1].item()), clip(g, m))[1])
    run([noise_examples(4)[0]] * 2, iters=1)
    run([noise_examples(4)[0]] * 8, iters=1, batch_size=8)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iters": 0}, "iters must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"steps_per_report": 0}, "steps_per_report must be at least 1"),
        ({"steps_per_eval": -1}, "steps_per_eval must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number, got nan"),
        ({"seed": 2**64}, "seed must be at most 18446744073709551615"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0"),
        ({"warmup": -1}, "warmup must be at least 0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"audio_context": 31.0}, "audio_context must be 0, or from 0.5 to 30 seconds, got 31"),
    ],
)
def test_options_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainingOptions(**settings)
