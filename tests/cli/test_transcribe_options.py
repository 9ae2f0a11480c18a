"""The command line of transcribe."""

import pytest

from mlx_whisper_lora.cli.transcribe_options import TemperatureOptions, build_parser, transcription_options
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
    options = TemperatureOptions(temperature=first, temperature_increment_on_fallback=increment)
    assert options.temperatures() == temperatures


def test_without_flags_only_best_of_differs_from_the_librarys_defaults():
    options = transcription_options(build_parser().parse_args([]))
    assert options == TranscriptionOptions(temperature=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], best_of=5)


def test_flags_reach_the_options_and_given_fields_replace_them():
    arguments = ["--sample-len", "50", "--without-timestamps", "--language", "te"]
    options = transcription_options(build_parser().parse_args(arguments), language="hi")
    assert (options.sample_len, options.without_timestamps, options.language) == (50, True, "hi")
