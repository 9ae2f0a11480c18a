"""The options of a run, saved beside its adapter."""

from pathlib import Path

import pytest

from mlx_whisper_lora import lora
from mlx_whisper_lora.adapters.adapter_file import read_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.lora_options import build_parser
from mlx_whisper_lora.cli.options import from_args
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.version import __version__


@pytest.fixture
def train(tmp_path, monkeypatch, run_main, model_folder, clips_folder):
    """Trains for two steps."""
    monkeypatch.chdir(tmp_path)
    given = ("--train", "--model", model_folder, "--data", clips_folder, "--iters", 2, "--adapter-file", "te.npz")

    def run(*arguments):
        return run_main(lora, *given, "--lora-targets", "attn.query,mlp1", "--audio-context", 1.5, *arguments)

    return run


def test_a_run_is_repeated_by_the_options_that_it_saved(train, run_main, clips_folder):
    assert train("--augment", "light", "--logprob-threshold", "None", "--seed", 7).code == 0
    saved = Path("te.yaml").read_text()
    assert saved.startswith(f"# The options of a run of mlx_whisper_lora {__version__}. ")
    args = build_parser().parse_args(["-c", "te.yaml"])
    training = TrainingOptions(iters=2, warmup=0, steps_per_eval=1, audio_context=1.5, seed=7, learning_rate=1e-3)
    assert from_args(TrainingOptions, args) == training  # the steps are those that the clips led to
    assert from_args(LoRAConfig, args, prefix="lora_") == LoRAConfig(targets=("attn.query", "mlp1"))
    assert (args.data, args.train, args.test, args.augment) == ([str(clips_folder)], True, False, "light")
    assert not hasattr(args, "overwrite") and not hasattr(args, "language")

    outcome = run_main(lora, "-c", "te.yaml", "--adapter-file", "again.npz")
    assert outcome.code == 0, outcome.err
    first, again = read_adapter("te_last.npz").arrays, read_adapter("again_last.npz").arrays
    assert all((first[name] == again[name]).all() for name in first)
    assert Path("again.yaml").read_text() == saved.replace("te.npz", "again.npz").replace("te.yaml", "again.yaml")


def test_every_option_of_a_run_can_be_saved_and_read(train):
    """But for those with no value, those that would replace adapters, and the other forms of an option."""
    given = {
        *("augment_speed", "augment_pitch", "augment_volume", "augment_room", "augment_noise", "augment_telephone"),
        *("augment_codec", "augment_masks", "noise_share"),
    }
    flags = [text for name in sorted(given) for text in ("--" + name.replace("_", "-"), "0.1")]
    assert train(*flags, "--language", "no", "--test", "--skip-bad").code == 0
    args = vars(build_parser().parse_args(["-c", "te.yaml"]))
    assert given <= args.keys() and args["language"] == "no" and args["test"] and args["skip_bad"]
    assert args["suppress_tokens"] == "-1" and args["temperature_increment_on_fallback"] == 0.2


def test_a_file_of_somebody_is_not_replaced(train):
    Path("te.yaml").write_text("iters: 2\n")
    outcome = train("-c", "te.yaml")
    assert (outcome.code, outcome.err) == (
        2,
        "mlx_whisper_lora.lora: error: te.yaml: this file was not saved by a run, which would replace it: give another "
        "--adapter-file\n",
    )
    assert Path("te.yaml").read_text() == "iters: 2\n" and not Path("te_last.npz").exists()
