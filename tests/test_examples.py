"""The recipes in examples/: each runs as it stands, on clips in the layout that it describes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlx_whisper_lora import classify, lora
from mlx_whisper_lora.adapters.adapter_file import read_adapter_config
from tests.support.clips import write_clips, write_jsonl
from tests.support.layouts import write_common_voice, write_pairs, write_validated

RECIPES = Path(__file__).parents[1] / "examples"
QUICK = ("--iters", 2, "--steps-per-eval", 2, "--val-clips", 1)
SHORT = ("--pack", 0, "--sample-len", 4)


def write_labels(folder: Path) -> None:
    """Write clips of 16 speakers, with a label in place of a text."""
    write_clips(folder, [""] * 16, seconds=0.5)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    write_jsonl(folder / "metadata.jsonl", [row | {"label": ("EGY", "GLF")[i % 2]} for i, row in enumerate(rows)])


def write_vocabulary(folder: Path) -> None:
    write_clips(folder, [f"word {i}" for i in range(12)], seconds=0.5)
    write_clips(folder.with_name("everyday"), seconds=0.4)


LAYOUTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "telugu": ("data/common_voice/te", write_validated),
    "hindi": ("data/common_voice/hi", write_common_voice),
    "dhivehi": ("data/common_voice/dv", write_common_voice),
    "malayalam": ("malayalam", lambda folder: write_clips(folder, [f"word {i}" for i in range(12)])),
    "one_voice": ("one_voice", write_pairs),
    "vocabulary": ("vocabulary", write_vocabulary),
    "dialects": ("dialects", write_labels),
}
LANGUAGES = {"telugu": "te", "hindi": "hi", "dhivehi": "si", "malayalam": "ml", "dialects": None}
COMMANDS = {"dialects": classify}


def test_each_recipe_is_tried():
    assert {path.stem for path in RECIPES.iterdir()} == LAYOUTS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", LAYOUTS)
def test_a_recipe_trains_an_adapter_of_its_name(recipe, model_folder, tmp_path, monkeypatch, run_main):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(RECIPES, "examples")
    folder, write = LAYOUTS[recipe]
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    write(Path(folder))
    short = SHORT if recipe not in COMMANDS else ("--best-by", "loss")
    command = COMMANDS.get(recipe, lora)
    outcome = run_main(command, "-c", f"examples/{recipe}.yaml", "--model", model_folder, *QUICK, *short)
    assert outcome.code == 0 or "none was better than naming the most frequent class" in outcome.err, outcome.err
    assert read_adapter_config(f"{recipe}_last.npz").language == LANGUAGES.get(recipe, "en")


@pytest.mark.parametrize("recipe", LAYOUTS)
def test_without_its_clips_a_recipe_names_their_folder(recipe, model_folder, tmp_path, monkeypatch, run_main):
    monkeypatch.chdir(tmp_path)
    command = COMMANDS.get(recipe, lora)
    outcome = run_main(command, "-c", RECIPES / f"{recipe}.yaml", "--model", model_folder)
    assert outcome.code == 1 and f"{LAYOUTS[recipe][0]}: no such data folder" in outcome.err
