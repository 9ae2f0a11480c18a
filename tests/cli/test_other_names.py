"""Names that options have in other programs."""

import re

import pytest

from mlx_whisper_lora import lora
from mlx_whisper_lora.cli.lora_options import build_parser
from mlx_whisper_lora.cli.other_names import ELSEWHERE


def test_the_answers_name_options_that_there_are():
    ours = build_parser().declared()
    named = {name for answer in ELSEWHERE.values() for name in re.findall(r"`(\w+)`", answer)}
    assert not named - ours.keys() and not ELSEWHERE.keys() & ours.keys()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--max_steps", "--max-steps is called --iters here"),
        ("--r=8", "--r is called --lora-rank here"),  # and not short for --resume-adapter-file
        ("--target-modules", "--target-modules is called --lora-targets here"),
    ],
)
def test_flags_of_other_programs_are_answered_with_ours(given, message, run_main):
    outcome = run_main(lora, "--train", given, "8")
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f"mlx_whisper_lora.lora: error: {message}")
