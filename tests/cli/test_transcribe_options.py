"""The command line of transcribe."""

import pytest

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.cli.transcribe_options import CommandOptions, build_parser, transcription_options
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions


@pytest.mark.parametrize(
    ("first", "increment", "temperatures"),
    [
        (0.0, 0.2, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.5, 0.3, [0.5, 0.8]),
        (0.3, None, [0.3]),
        (1.5, 0.2, [1.5]),
    ],
)
def test_temperatures_rise_to_one(first, increment, temperatures):
    options = CommandOptions(temperature=first, temperature_increment_on_fallback=increment)
    assert options.temperatures() == temperatures


def parse(*arguments: str, adapter: AdapterConfig | None = None) -> TranscriptionOptions:
    return transcription_options(build_parser().parse_args(arguments), adapter)


def test_without_flags_only_best_of_differs_from_the_librarys_defaults():
    assert parse() == TranscriptionOptions(temperature=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], best_of=5)


def test_language_and_task_default_to_the_adapters():
    adapter = AdapterConfig(None, "te", "translate", 30.0, None)
    options = parse(adapter=adapter)
    assert (options.language, options.task) == ("te", "translate")
    options = parse("--language", "English", "--task", "transcribe", adapter=adapter)
    assert (options.language, options.task) == ("en", "transcribe")
