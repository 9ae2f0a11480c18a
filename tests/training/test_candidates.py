"""What a search draws, and how candidates compare."""

import json
from dataclasses import replace

import pytest

from mlx_whisper_lora.adapters.bitfit import BitFitConfig
from mlx_whisper_lora.adapters.dora import DoRAConfig
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.lora_options import build_parser
from mlx_whisper_lora.cli.training_command import method_settings
from mlx_whisper_lora.training.candidates import Candidate, Score, compare, draw_candidates
from tests.support.models import small_model


@pytest.mark.parametrize("settings", [LoRAConfig(rank=8), DoRAConfig()])
def test_the_given_settings_come_first_and_one_seed_gives_one_draw(settings):
    first, again, other = (draw_candidates(settings, 1e-3, small_model(), 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert (first[0].settings, first[0].learning_rate) == (settings, 1e-3)
    assert [each.number for each in first] == [*range(1, 13)]
    for each in first:
        assert type(each.settings) is type(settings) and 2.5e-4 <= each.learning_rate <= 4e-3
    for name in ("rank", "dropout", "targets", "encoder_layers", "decoder_layers"):
        assert len({getattr(each.settings, name) for each in first}) > 1


def test_every_draw_fits_the_model():
    for each in draw_candidates(LoRAConfig(), 1e-3, small_model(), 20, seed=3):
        add_adapter(small_model(), each.settings)


def test_a_method_without_other_settings_has_other_learning_rates():
    drawn = draw_candidates(BitFitConfig(), 1e-3, small_model(), 5, seed=0)
    assert {each.settings for each in drawn} == {BitFitConfig()}
    assert len({each.learning_rate for each in drawn}) == 5


def test_the_options_of_a_candidate_lead_to_its_settings():
    given, *drawn = draw_candidates(LoRAConfig(), 1e-3, small_model(), 9, seed=0)
    assert given.flags(given) == ""
    for each in drawn:
        args = build_parser().parse_args(each.flags(given).split())
        assert (method_settings(args, None, False), args.learning_rate) == (each.settings, each.learning_rate)


def candidate(number: int, *folds: list[float] | None, steps: int = 4) -> Candidate:
    scores = [Score(steps, fold, losses, 1.0) for fold, losses in enumerate(folds, 1)]
    return Candidate(number, LoRAConfig(), 1e-3, scores)


def test_the_loss_is_that_of_all_tokens_of_the_folds():
    each = candidate(2, [10.0, 20.0], [60.0])
    assert each.loss(4, [[10, 10], [20]]) == 90 / 40
    assert each.loss(4, [[10, 10]]) == 30 / 20
    assert each.last_scores() == (4, 2) and each.reached(4, 2) and not each.reached(8, 1)
    assert candidate(3, [1.0], None).loss(4, [[1], [1]]) == float("inf")


def test_candidates_are_compared_clip_by_clip():
    first = candidate(1, [20.0] * 10, [40.0] * 10)
    found = compare(candidate(2, [10.0] * 10, [30.0] * 10), first, 4, [[10] * 10, [10] * 10])
    assert found.gain == 1.0 and found.interval == (1.0, 1.0) and found.n_clips == 20
    mixed = compare(candidate(2, [10.0, 30.0] * 5, [30.0, 50.0] * 5), first, 4, [[10] * 10, [10] * 10])
    assert mixed.gain == 0.0 and mixed.interval.low < -0.3 and mixed.interval.high > 0.3
    assert compare(candidate(2, None, [1.0]), first, 4, [[10] * 10, [10] * 10]) is None


def test_scores_are_restored_from_json():
    each = candidate(2, [10.0, 20.5], None)
    stored = json.loads(json.dumps(each.to_json(candidate(1))))
    assert [Score(**score) for score in stored["scores"]] == each.scores
    assert replace(each, settings=LoRAConfig(rank=4)).to_json(each)["options"] == "--learning-rate 0.001 --lora-rank 4"
