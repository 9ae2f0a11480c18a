"""The settings of a method, from the command line of `lora`."""

import pytest

from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.lora_options import CommandOptions, build_parser, method_settings
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


def test_help_names_the_option_that_a_default_follows(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    assert "Default:as--lora-layers." in "".join(capsys.readouterr().out.split())
