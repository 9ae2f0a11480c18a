"""tools.bench.memory reaches into the loop over windows; this test fails if that loop changes."""

import pytest

from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from tools.bench import memory


@pytest.mark.slow
def test_a_recording_is_measured():
    found = memory.measure(DEMO_RECORDING / "recording.opus")
    assert found["MB"] > 10 and found["segments"] > 0
