"""The tool reaches into the loop over windows, and should notice when that changes."""

from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from tools.bench import memory


def test_a_clip_is_measured():
    found = memory.measure(DEMO_CLIPS / "test" / "000.opus")
    assert found["MB"] > 10 and found["segments"] > 0
