"""The benchmarks: tools/bench."""

import subprocess
import sys

import mlx.core as mx
import pytest

from mlx_whisper_lora.whisper.model.whisper import ModelDimensions
from tools.bench import growth
from tools.bench.floors import Phase, Rates, decoder_step, encoder, floor, training_step
from tools.bench.run import ROOT, table
from tools.bench.tasks import OURS, TASKS
from tools.bench.tasks_ours import TASKS as OURS_TASKS

# Two blocks on each side, 2 wide, with 3 mel bands and 10 tokens.
SMALL = ModelDimensions(3, 8, 2, 1, 2, 10, 8, 2, 1, 2)


def test_the_encoder_is_counted_by_hand():
    """Convolutions are (8, 9) by (9, 2), and (4, 6) by (6, 2). A block has 48 weights, and two (4, 2) by (2, 4)."""
    convolutions = 2 * 8 * 9 * 2 + 2 * 4 * 6 * 2
    block = 2 * 4 * 48 + 2 * (2 * 4 * 4 * 2)
    assert encoder(SMALL, 4) == Phase(convolutions + 2 * block)


def test_a_training_step_is_counted_by_hand():
    """One clip of 4 positions with 1 label after 3 tokens, which the decoder reads; the last block is adapted."""
    encoder_forward = encoder(SMALL, 4).operations
    encoder_backward = 2 * 4 * (48 - 12) + 2 * 2 * (2 * 4 * 4 * 2)
    decoder_block = 2 * 3 * 56 + 2 * 4 * 8 + 2 * (2 * 3 * 3 * 2) + 2 * (2 * 3 * 4 * 2)
    last_backward = 2 * 3 * 56 + 2 * 4 * 8 + 2 * 2 * (2 * 3 * 3 * 2) + 2 * 2 * (2 * 3 * 4 * 2)
    first_backward = 2 * 3 * 36 + 2 * 4 * 8 + 2 * 2 * (2 * 3 * 4 * 2)
    output = 2 * 1 * 10 * 2
    total = encoder_forward + encoder_backward + 2 * decoder_block + last_backward + first_backward + 2 * output
    assert training_step(SMALL, 1, 4, 1, layers=1) == [Phase(total)]
    cached = total - encoder_forward + 2 * 4 * 48 + 2 * (2 * 4 * 4 * 2)
    assert training_step(SMALL, 1, 4, 1, layers=1, cached=True) == [Phase(cached)]


def test_a_step_of_decoding_is_limited_by_memory():
    weights, keys_and_values = 2 * 56 + 20, 2 * 2 * 4 * 2
    step = decoder_step(SMALL, 4, windows=3)
    assert step == Phase(2 * 3 * (weights + keys_and_values), 4 * (weights + 3 * keys_and_values))
    assert floor([step, Phase(10)], Rates(operations=5, bytes=1)) == step.bytes + 2


def test_the_table_has_ratios_to_the_last_row_and_to_the_floor():
    results = {"peer": {"seconds": 3.0, "floor": 0.5, "MB": 1500}, "ours": {"seconds": 2.0, "MB": 100, "GPU MB": 700}}
    assert table("step", results).splitlines()[2:] == [
        "| peer | 3 | 1.50 | 0.5 | 6.00 | 1.5 |",
        "| ours | 2 | 1.00 |  |  | 0.7 |",
    ]


def test_our_tasks_exist():
    named = {row.task for rows in TASKS.values() for row in rows.values() if row.contender == OURS}
    assert named <= set(OURS_TASKS)


@pytest.mark.skipif(mx.default_device() == mx.gpu, reason="there is a GPU")
@pytest.mark.slow
def test_a_machine_without_a_gpu_is_refused_in_a_line():
    result = subprocess.run([sys.executable, "-m", "tools.bench.gpu"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "MLX has no GPU on this machine: bench-gpu needs Apple silicon, or Linux with CUDA\n"


def test_the_exponent_is_that_of_the_last_two_points():
    points = [{"size": 1, "s": 9.0}, {"size": 10, "s": 1.0}, {"size": 20, "s": 4.0}]
    assert growth.exponent(points, "s") == pytest.approx(2)


# It reaches into the loop over windows.
@pytest.mark.slow
def test_the_first_window_stands_for_the_others(tmp_path):
    growth.write_recording(tmp_path / "long.wav", 3)
    result = growth.transcribe_first_window(tmp_path / "long.wav")
    assert len({segment["seek"] for segment in result["segments"]}) >= 6


@pytest.mark.slow
def test_the_start_of_a_run_is_measured():
    found = growth.measure("clips", 5)
    assert found["size"] == 5 and found["seconds"] > 0 and found["MB"] > 10
