"""Curves and transcripts for TensorBoard."""

import importlib.util
import struct

import pytest

from mlx_whisper_lora.training.reporting.tensorboard import TensorBoard
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.events import play_run


def read_events(path) -> dict[tuple[str, int], object]:
    """Return the values of an event file, by tag and step. A record has its length, a checksum, and another one."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = path.read_bytes(), {}
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            is_text = value.WhichOneof("value") == "tensor"
            found[value.tag, event.step] = value.tensor.string_val[0].decode() if is_text else value.simple_value
        data = data[16 + length :]
    return found


def test_curves_and_transcripts_are_written_for_each_run(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    play_run(TensorBoard(tmp_path / "te.npz"), tmp_path / "te.npz")
    (file,) = (tmp_path / "te_tensorboard").glob("*/events*")
    found = read_events(file)
    assert (found["train/loss", 2], found["valid/wer", 0], found["valid/wer", 2]) == (1.5, 90.0, 10.0)
    assert (found["valid_english/wer", 0], found["valid_english/wer", 2]) == (10.0, 90.0)
    texts = {step: value for (tag, step), value in found.items() if tag.startswith("valid/transcripts")}
    assert texts[0].splitlines() == [
        "| clip | text | transcript |",
        "| --- | --- | --- |",
        "| 1.wav | one | wan |",
        "| 2.wav | two and &#124; &lt;i&gt;more&lt;/i&gt; | &lt;b&gt;&#124;&lt;/b&gt; too |",
    ]
    assert "| 1.wav | one | one |" in texts[2] and sorted(texts) == [0, 2, 4]


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError) as caught:
        TensorBoard("te.npz")
    assert caught.value.with_flags() == (
        "--report-to tensorboard requires the package tensorboardX: run pip install 'mlx_whisper_lora[tensorboard]'"
    )
