"""Several adapters in one: the update of each layer is the weighted sum of theirs."""

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from mlx_whisper_lora import merge
from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, read_adapter, read_adapter_config, save_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.merge import merge_adapters
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.whisper.checkpoints.load import load_model as load_base
from tests.support.peft_folders import write_peft_folder

ONE = LoRAConfig(rank=2, scale=3.0, layers=1, targets=("attn.query", "mlp1"))
TWO = LoRAConfig(rank=3, scale=0.5, encoder_layers=0, targets=("mlp1", "cross_attn.out"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_adapter(path: str, model_folder: Path, settings: LoRAConfig, seed: int, **changes) -> str:
    model = load_base(model_folder, mx.float32)
    config = AdapterConfig(
        settings, "te", "transcribe", 30.0, Base.of(model, str(model_folder)), clips=frozenset({seed})
    )
    add_adapter(model, settings)
    for i, module in enumerate(adapter_modules(model).values()):
        module.lora_b = mx.random.normal(module.lora_b.shape, key=mx.random.key(100 * seed + i)) * 0.1
    save_adapter(path, model, replace(config, **changes))
    return path


def weights(model_folder: Path, adapter_file: str | Path | None = None) -> dict[str, mx.array]:
    """Return the weights of the base, or of an adapter that was fused into it."""
    return dict(tree_flatten(load_model(model_folder, adapter_file=adapter_file, dtype=mx.float32).parameters()))


def test_the_weights_are_those_of_the_base_and_the_weighted_updates(model_folder, run_main):
    one, two = write_adapter("one.npz", model_folder, ONE, 1), write_adapter("two.npz", model_folder, TWO, 2)
    peft = write_peft_folder(Path("peft"))
    outcome = run_main(
        merge, *("--adapter-file", "one.npz:0.5", "--adapter-file", "two.npz", "--adapter-file", "peft:-2")
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "Merged 3 adapters into one of rank 7: merged.npz\n"
    base = weights(model_folder)
    parts = [(0.5, weights(model_folder, one)), (1.0, weights(model_folder, two)), (-2.0, weights(model_folder, peft))]
    for name, array in weights(model_folder, "merged.npz").items():
        expected = base[name] + sum(factor * (part[name] - base[name]) for factor, part in parts)
        np.testing.assert_allclose(np.array(array), np.array(expected), atol=1e-5, err_msg=name)


def test_the_result_says_what_the_adapters_have_in_common(model_folder, run_main):
    write_adapter("one.npz", model_folder, ONE, 1)
    write_adapter("two.npz", model_folder, TWO, 2, language="hi", audio_context=0.0)
    assert run_main(merge, "--adapter-file", "one.npz", "--adapter-file", "two.npz").code == 0
    config, one = read_adapter_config("merged.npz"), read_adapter_config("one.npz")
    assert (config.language, config.task, config.audio_context) == (None, "transcribe", 30.0)
    assert config.base == one.base and config.clips == {1, 2}
    assert config.settings == LoRAConfig(
        rank=5,
        scale=1.0,
        targets=("attn.query", "cross_attn.out", "mlp1"),
        encoder_layers=1,
        decoder_layers=-1,
    )


def test_adapters_that_do_not_belong_together_are_refused(model_folder):
    one = read_adapter(write_adapter("one.npz", model_folder, ONE, 1))

    def other(**changes):
        return replace(one, path=Path("b.npz"), config=replace(one.config, **changes))

    base = replace(one.config.base, name="other", fingerprint="0123")
    hub = replace(base, repository="openai/whisper-small")
    peft = replace(base, fingerprint=None, repository="openai/whisper-tiny")
    for adapters, message in (
        (
            [one, other(base=base)],
            r"^b.npz: this adapter was trained on other \(weights 0123\), and one.npz on .*one base",
        ),
        (
            [other(base=hub), other(base=peft)],
            "^b.npz: this adapter was trained on other, and b.npz on other .*one base",
        ),
        ([one, other(task="translate")], "^b.npz: its task is translate, and that of one.npz is transcribe"),
        ([one, other(new_language=NewLanguage("dv", "si"))], "^b.npz: its new language dv has a token of its own"),
        (
            [one, replace(one, path=Path("b.npz"), arrays={})] * 600,
            "the merged adapter would be too large: rank must be",
        ),
    ):
        with pytest.raises(AdapterError, match=message):
            merge_adapters(adapters, [1.0] * len(adapters), Path("m.npz"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("one.npz",), "nothing to merge: give --adapter-file at least twice"),
        (("one.npz:1e999", "one.npz"), "--adapter-file one.npz:1e999: its weight 1e999 is not a number"),
        (("one.npz", "gone.npz:2"), "gone.npz: no such adapter file"),
        (
            ("one.npz", "one.npz", "--save-path", "one.npz"),
            "one.npz: the result would replace an adapter that it is made",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, message, model_folder, run_main):
    write_adapter("one.npz", model_folder, ONE, 1)
    before = Path("one.npz").read_bytes()
    names = [part for name in arguments[:2] if name.startswith(("one", "gone")) for part in ("--adapter-file", name)]
    outcome = run_main(merge, *names, *arguments[2:])
    assert outcome.code in (1, 2) and outcome.err.startswith(f"mlx_whisper_lora.merge: error: {message}")
    assert outcome.err.count("\n") == 1 and Path("one.npz").read_bytes() == before
