"""The speed of training, and the time that is left."""

import numpy as np
import pytest

from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training import meter
from mlx_whisper_lora.training.meter import Meter

CLIP = Example(np.zeros((250, 80), np.float16), tokens=(1, 2, 3, 4, 5), prompt_length=1)  # 2.5 s, 4 labels


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""

    class Clock:
        now = 100.0

        def perf_counter(self) -> float:
            return self.now

    found = Clock()
    monkeypatch.setattr(meter, "time", found)
    return found


def test_speeds_are_those_since_the_last_report_and_pauses_do_not_count(clock):
    found = Meter(iters=10, steps_per_eval=4, passes_per_step=0.25)
    for loss in (3.0, 1.0):
        clock.now += 2
        found.add(loss, [CLIP, CLIP])
    report = found.report(2, 1e-3)
    assert (report.loss, report.steps_per_second, report.tokens_per_second) == (2.0, 0.5, 4.0)
    assert (report.audio_per_second, report.passes, report.seconds_left) == (2.5, 0.5, 16)
    assert 1e7 < report.peak_memory < 1e12

    clock.now += 1
    with found.paused():
        clock.now += 30
    found.add(1.0, [CLIP])
    assert found.describe(3).startswith("loss 1.000, 4 tokens/s, 2.5 s audio/s, pass 0.75, ")


@pytest.mark.parametrize(("iteration", "evaluations"), [(3, 3), (4, 3), (5, 2), (8, 2), (9, 1), (10, 1)])
def test_the_time_left_has_the_evaluations_to_come(iteration, evaluations, clock):
    """They come after steps 4, 8 and 10. That of step 4 comes after its report."""
    found = Meter(iters=10, steps_per_eval=4, passes_per_step=1)
    with found.paused():
        clock.now += 30
    for _ in range(iteration):
        clock.now += 2
        found.add(1.0, [CLIP])
    assert found.report(iteration, 0).seconds_left == 2 * (10 - iteration) + 30 * evaluations
