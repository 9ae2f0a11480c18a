"""An adapter that the first of several processes reads, and sends to the others."""

from types import SimpleNamespace

import numpy as np

from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.training.adapter_places import read_adapter_of_first
from tests.support.peft_folders import write_peft_folder


def test_the_files_of_a_peft_folder_are_sent_and_no_others(tmp_path):
    folder = write_peft_folder(tmp_path / "checkpoint-500")
    (folder / "optimizer.pt").write_bytes(bytes(10_000_000))
    sent: list[bytes] = []
    first = SimpleNamespace(size=2, speaks=True, gather=lambda message: sent.append(message) or sent)
    read_adapter_of_first(first, folder)
    other = SimpleNamespace(size=2, speaks=False, gather=lambda message: sent)
    found, expected = read_adapter_of_first(other, "not here"), open_adapter(folder)
    assert len(sent[0]) < 100_000 and found.config == expected.config
    assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())
