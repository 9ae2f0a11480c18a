"""The settings of a method, from the command line of `lora`."""

import pytest

from mlx_whisper_lora.adapters.bitfit import BitFitConfig
from mlx_whisper_lora.adapters.bottleneck import BottleneckConfig
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.soft_prompt import SoftPromptConfig
from mlx_whisper_lora.adapters.weights import FullConfig
from mlx_whisper_lora.cli.lora_options import CommandOptions, build_parser
from mlx_whisper_lora.cli.training_command import method_settings
from mlx_whisper_lora.whisper.option import OptionError


def settings(*arguments: str, method: str | None = None, resumes: bool = False):
    return method_settings(build_parser().parse_args(arguments), method, resumes)


def test_the_default_method_is_lora():
    assert settings("--lora-rank", "4") == settings("--lora-rank", "4", method="lora") == LoRAConfig(rank=4)


def test_a_run_that_resumes_has_the_settings_of_its_adapter_unless_a_method_is_given():
    assert settings(resumes=True) is None
    assert settings(method="lora", resumes=True) == LoRAConfig()


def test_a_test_alone_takes_the_method_of_its_adapter():
    with pytest.raises(OptionError, match="fine_tune_type requires train"):
        CommandOptions(test=True, fine_tune_type="lora")


def test_help_names_what_a_default_follows(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert "Default:as--lora-layers." in shown
    assert "Largestlearningrate.Default:0.001;0.01forbitfit;1e-05forencoder,decoder,full;withlion" in shown


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("dora", ["--lora-rank", "4"], DoRAConfig(rank=4)),
        ("adapter", ["--adapter-dim", "8", "--adapter-decoder-layers", "0"], BottleneckConfig(dim=8, decoder_layers=0)),
        ("prompt", ["--prompt-encoder-length", "0"], SoftPromptConfig(encoder_length=0)),
        ("bitfit", [], BitFitConfig()),
        ("full", [], FullConfig()),
    ],
)
def test_a_method_has_its_own_flags(method, arguments, expected):
    assert settings(*arguments, method=method) == expected


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("bitfit", ["--lora-rank", "4"], "--lora-rank is an option of --fine-tune-type lora and dora, not of bitfit"),
        ("lora", ["--adapter-dim", "8"], "--adapter-dim is an option of --fine-tune-type adapter, not of lora"),
        ("adapter", ["--adapter-dim", "0"], "--adapter-dim must be at least 1, got 0"),
    ],
)
def test_flags_of_another_method_and_values_out_of_range_are_refused(method, arguments, message):
    with pytest.raises(OptionError) as caught:
        settings(*arguments, method=method)
    assert caught.value.with_flags().startswith(message)
