"""A run that trains the token of a new language, on real audio."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import load_adapter, read_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.fuse import fuse
from mlx_whisper_lora.training.console import ConsoleCallback
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run import Run
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.load import pad_or_trim
from mlx_whisper_lora.whisper.option import OptionError

DV, EN = 51865, 50259  # tokens
SETTINGS = LoRAConfig(rank=4, layers=1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clips("clips")


def write_clips(folder: str, **columns: str) -> None:
    """Write a folder of a few demo clips that name no language, or that of `columns`."""
    Path(folder).mkdir()
    for split, count in {"train": 12, "valid": 2, "test": 3}.items():
        lines = (DEMO_CLIPS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        rows = [{name: value for name, value in json.loads(line).items() if name != "language"} for line in lines]
        content = "".join(json.dumps(row | columns) + "\n" for row in rows)
        Path(folder, f"{split}.jsonl").write_text(content, encoding="utf-8")
        shutil.copy(DEMO_CLIPS / f"{split}.opus", folder)


def start(data="clips", iters=8, lines=None, **options) -> Run:
    given = {"model": "demo", "data": data, "new_language": "dv", "language": "en"} | options
    training = TrainingOptions(iters=iters, batch_size=4, warmup=0, steps_per_eval=iters, full_context_share=0)
    return Run(RunOptions(**given), training, ConsoleCallback([].append if lines is None else lines.append))


@pytest.mark.slow
def test_a_trained_language_is_saved_fused_transcribed_detected_and_resumed():
    lines: list[str] = []
    run = start(iters=30, lines=lines)
    assert {example.tokens[:2] for examples in run.examples.values() for example in examples} == {(50258, DV)}
    assert {example.prompt_length for examples in run.examples.values() for example in examples} == {1}
    before = np.array(load_model("demo").decoder.token_embedding.weight)
    run.train(SETTINGS)
    assert "Note: Divehi has the new token <|dv|>, which starts as that of English (en)" in lines

    adapter = read_adapter("adapters_last.npz")
    assert (adapter.config.new_language, adapter.config.language) == (NewLanguage("dv", "en"), "dv")
    trained = load_model("demo")
    load_adapter(trained, adapter, "demo")
    embedding = trained.decoder.token_embedding
    np.testing.assert_array_equal(embedding.embedding.weight, before)
    assert np.abs(np.array(embedding.row) - before[EN]).max() > 1e-3

    fuse("adapters_last.npz", "fused")
    fused = load_model("fused")
    rows = np.array(fused.decoder.token_embedding.weight)
    np.testing.assert_array_equal(rows, np.concatenate([before, np.array(embedding.row)[None]]))
    examples = run.examples["train"]
    in_memory = load_model("demo", adapter_file="adapters_last.npz")
    texts = [evaluate(model, examples).hypotheses for model in (trained, in_memory, fused)]
    assert texts[0] == texts[1] == texts[2] and any(texts[0])
    windows = mx.array(np.stack([pad_or_trim(each.mel.astype(np.float32), 3000, axis=0) for each in examples]))
    assert set(fused.detect_language(windows)[0].tolist()) == {DV}

    resumed = start(iters=2, resume_adapter_file="adapters_last.npz", new_language=None, language=None)
    np.testing.assert_array_equal(resumed.examples["train"][0].tokens, examples[0].tokens)
    resumed.train(SETTINGS)
    again = read_adapter("adapters_last.npz")
    assert again.config.new_language == adapter.config.new_language
    assert not np.array_equal(*(each.arrays["decoder.token_embedding.row"] for each in (adapter, again)))


@pytest.mark.slow
def test_the_base_is_tested_with_the_token_that_the_new_one_starts_as():
    run = start(iters=1)
    run.adapter_file = None  # as after training that gave no adapter better than the base
    borrowed = run.test()
    alone = Run(RunOptions(model="demo", data="clips", language="en"), trains=False).test()
    assert borrowed.hypotheses == alone.hypotheses


def test_clips_keep_a_language_of_their_own():
    write_clips("english", language="en")
    run = start(["clips", "english"])
    assert {example.tokens[1] for example in run.examples["train"]} == {DV, EN}
    message = r"all train clips name another language \(en\) than the new one; name dv in their 'language' column"
    with pytest.raises(DataError, match=message):
        start("english")
    write_clips("divehi", language="Dhivehi")
    assert {example.tokens[1] for example in start("divehi").examples["train"]} == {DV}


@pytest.mark.slow
def test_an_adapter_gets_no_other_language():
    start(iters=1, new_language=None).train(SETTINGS)
    with pytest.raises(
        OptionError, match="the adapter to resume from lacks the new_language dv: train it from the base"
    ):
        start(resume_adapter_file="adapters_last.npz")
