"""Hugging Face data sets: from a small hub on loopback, and from folders."""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_whisper_lora.data.clip import DataError, Splits
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.hf_dataset import is_dataset
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.hf_data import demo_clips, make_rows, write_parquet, write_repository
from tests.support.processes import Outcome, run_python
from tools.hub import Hub

datasets = pytest.importorskip("datasets", reason="needs the package datasets (the extra 'hf')")
NAME = "someone/digits"
LOAD = """
import json, sys
from mlx_whisper_lora.data.content import audio_hash
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from tools.bench.worker import peak_memory
for name, options in json.loads(sys.argv[1]):
    try:
        splits = load_clips(name, hub=HubDataOptions(**options))
        print(json.dumps({split: [[clip.text, clip.language, clip.speaker, audio_hash(clip)] for clip in clips]
                          for split, clips in splits.items()}))
    except ValueError as error:
        print(f"{type(error).__name__} {error}")
print(round(peak_memory() / 1e6), "MB")
"""


@pytest.fixture(scope="module")
def clips() -> Splits:
    return demo_clips()


@pytest.fixture(scope="module")
def repository(clips, tmp_path_factory) -> Path:
    return write_repository(tmp_path_factory.mktemp("repository") / "digits", clips)


@pytest.fixture
def hub(repository) -> Iterator[Hub]:
    server = Hub(NAME, repository, "datasets")
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> None:
    """Keep what `datasets` writes in this process out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def load(*requests: tuple[str, dict], hub: Hub, home: Path, **environment: str) -> list[str]:
    """Load data sets in a process that knows no other hub. Return a line for each, and one with the memory it took."""
    outcome = run_python("-c", LOAD, json.dumps(requests), **environment_of(hub, home), **environment)
    assert outcome.code == 0, outcome.err
    return outcome.out.splitlines()


def environment_of(hub: Hub, home: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}


def described(clips: Splits) -> dict[str, list]:
    """Return clips as LOAD prints them, by the split that they belong to here."""
    names = {"train": "train", "valid": "validation", "test": "test"}
    return {
        split: [[clip.text, clip.language, clip.speaker, audio_hash(clip)] for clip in clips[name]]
        for split, name in names.items()
    }


@pytest.mark.slow
def test_a_repository_is_downloaded_once_and_then_found_offline(hub, clips, tmp_path):
    online, _ = load((NAME, {"hf_dataset_lang": "te_in"}), hub=hub, home=tmp_path)
    assert json.loads(online) == described(clips)
    assert sum(name.startswith("en_us") for name in hub.downloads) == 0
    hub.downloads.clear()
    offline = load(
        (NAME, {"hf_dataset_lang": "te_in"}),
        (NAME, {"hf_dataset_lang": "en_us"}),
        hub=hub,
        home=tmp_path,
        HF_HUB_OFFLINE="1",
    )
    assert offline[0] == online and hub.downloads == []
    assert offline[1].startswith(f"DataError {NAME}: no local folder, and not in the cache of downloads, or")


@pytest.mark.slow
def test_a_stream_gives_the_same_clips_and_keeps_their_recordings(hub, clips, tmp_path):
    streamed = {"hf_dataset_lang": "te_in", "hf_streaming": True}
    parts = {"train_split": "train[1:3]+validation", "valid_split": "test[:50%]", "hf_max_clips": 3}
    whole, some, _ = load((NAME, streamed), (NAME, streamed | parts), hub=hub, home=tmp_path)
    assert json.loads(whole) == (found := described(clips))
    assert json.loads(some) == {
        "train": found["train"][1:3] + found["valid"][:1],
        "valid": found["test"][:1],
        "test": [],  # the split test is in use
    }
    kept = list(tmp_path.glob("mlx_whisper_lora/*/*.flac"))
    assert sorted(path.read_bytes() for path in kept) == sorted(clip.audio for each in clips.values() for clip in each)
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.slow
def test_a_stream_takes_no_memory_that_grows_with_it(tmp_path):
    rows = datasets.Dataset.from_generator(
        lambda: ({"audio": {"bytes": os.urandom(500_000), "path": None}, "text": str(i)} for i in range(200)),
        cache_dir=str(tmp_path / "cache"),
    )
    (tmp_path / "files").mkdir()
    rows.to_parquet(
        tmp_path / "files" / "train.parquet", batch_size=20
    )  # rows in a row group, of which each is read as a whole
    hub = Hub(NAME, tmp_path / "files", "datasets")
    few, all_ = (
        load((NAME, {"hf_streaming": True, "hf_max_clips": count}), hub=hub, home=tmp_path)[-1] for count in (20, None)
    )
    hub.close()
    assert int(all_.split()[0]) - int(few.split()[0]) < 30  # MB; the recordings have 100


@pytest.mark.slow
def test_a_data_set_without_parquet_files_is_read_in_the_conversion_of_the_hub(hub, clips, repository, tmp_path):
    hub.converted = {
        f"te_in/{split}/0000.parquet": (repository / f"te_in/{split}-00000-of-00001.parquet").read_bytes()
        for split in clips
    }
    hub.files = {"digits.py": b"raise SystemExit", "README.md": b"A script."}
    request = (NAME, {"hf_dataset_lang": "te_in"})
    stored, streamed, other, _ = load(
        request,
        (NAME, {"hf_dataset_lang": "te_in", "hf_streaming": True}),
        (NAME, {"hf_dataset_lang": "en_us"}),
        hub=hub,
        home=tmp_path,
    )
    assert json.loads(stored) == json.loads(streamed) == described(clips)
    assert other == f"OptionError hf_dataset_lang must be a configuration of {NAME}: te_in; got 'en_us'"
    assert load(request, hub=hub, home=tmp_path, HF_HUB_OFFLINE="1")[0] == stored
    hub.converted = {}
    assert load(request, hub=hub, home=tmp_path / "new")[0].startswith(
        f"DataError {NAME}: the data set is a script, and the Hub has not converted it to Parquet ("
    )


@pytest.mark.slow
def test_each_fault_of_a_repository_has_a_line_of_its_own(hub, tmp_path):
    te = {"hf_dataset_lang": "te_in"}
    faults = {
        ("fault/gated", ()): "DataError fault/gated: this repository is gated: accept its terms on",
        ("fault/private", ()): "DataError fault/private: no local folder and no repository on the Hugging Face Hub; if "
        "it is private, log in with `hf auth login`",
        ("fault/token", ()): "DataError fault/token: the Hugging Face Hub answered 401: the token is not valid; log in",
        ("fault/page", ()): "DataError fault/page: the answer is not the Hugging Face Hub's",
        ("someone/typo", ()): "DataError someone/typo: no local folder and no repository on the Hugging Face Hub",
        (f"{NAME}@v9", ()): f"DataError {NAME}@v9: the Hugging Face Hub has no revision 'v9' of this repository",
        (NAME, ()): f"OptionError hf_dataset_lang must be a configuration of {NAME}: te_in, en_us; and is not given",
        (NAME, (("hf_dataset_lang", "te"),)): f"OptionError hf_dataset_lang must be a configuration of {NAME}: te_in, "
        "en_us; got 'te'",
        (NAME, (*te.items(), ("train_split", "dev"))): f"OptionError train_split: {NAME} has no split 'dev'; it has "
        "train, validation, test",
    }
    lines = load(*((name, dict(options)) for name, options in faults), hub=hub, home=tmp_path)
    for line, message in zip(lines, faults.values(), strict=False):
        assert line.startswith(message)
    hub.loses_connections = True
    line, _ = load((NAME, te), hub=hub, home=tmp_path)
    assert line.startswith(f"DataError {NAME}: ") and "the download from the Hugging Face Hub failed" in line


@pytest.mark.slow
def test_the_command_names_a_data_set_that_needs_a_login(hub, model_folder, tmp_path):
    arguments = ["--train", "--model", model_folder, "--data", "fault/gated"]
    outcome = run_python("-m", "mlx_whisper_lora.lora", *arguments, **environment_of(hub, tmp_path))
    assert (outcome.code, outcome.err) == (
        1,
        f"mlx_whisper_lora.lora: error: fault/gated: this repository is gated: accept its terms on {hub.address}, then "
        "log in with `hf auth login` or set HF_TOKEN\n",
    )


@pytest.mark.slow
def test_the_command_tests_on_a_part_of_a_data_set(hub, clips, model_folder, tmp_path):
    arguments = ["--test", "--model", model_folder, "--hf-dataset", NAME, "--hf-dataset-lang", "te_in"]
    outcome: Outcome = run_python(
        *("-m", "mlx_whisper_lora.lora", *arguments, "--test-split", "test[:1]", "--sample-len", "4"),
        **environment_of(hub, tmp_path),
    )
    assert outcome.code == 0, outcome.err
    assert f"Clips in {NAME}: 6 train, 2 valid, 1 test" in outcome.out
    assert "Testing the base model without an adapter on 1 clips" in outcome.out


def test_folders_of_saved_rows_and_of_parquet_files(clips, cache, tmp_path):
    datasets.DatasetDict({split: make_rows(found) for split, found in clips.items()}).save_to_disk(tmp_path / "saved")
    write_parquet(tmp_path / "parquet", clips)
    for folder in (tmp_path / "saved", tmp_path / "parquet"):
        splits = load_clips(folder)
        assert {
            split: [[clip.text, clip.language, clip.speaker, audio_hash(clip)] for clip in found]
            for split, found in splits.items()
        } == described(clips)
        assert splits["test"][1].origin == f"{folder}/test, row 1" and splits["test"][1].name == "1.flac"


def test_rows_that_were_saved_without_splits_are_divided_by_content(clips, cache, tmp_path):
    make_rows(clips["train"]).save_to_disk(tmp_path)
    with pytest.warns(UserWarning, match="its only split, train, is divided by content"):
        splits = load_clips(tmp_path)
    assert [len(splits[split]) for split in ("train", "valid", "test")] == [4, 1, 1]
    splits = load_clips(tmp_path, hub=HubDataOptions(train_split="train[:50%]", test_split="train[-1:]"))
    assert [len(splits[split]) for split in ("train", "valid", "test")] == [3, 0, 1]


def test_classes_are_named_and_an_unknown_language_is_left_to_the_option(clips, cache, tmp_path):
    rows = make_rows(clips["test"], language=1, speaker_id=1, transcription=" a ")
    rows = rows.cast_column("language", datasets.ClassLabel(names=["en", "te"]))
    rows.cast_column("speaker_id", datasets.ClassLabel(names=["x", "y"])).save_to_disk(tmp_path / "classes")
    make_rows(clips["test"], language="Elvish").save_to_disk(tmp_path / "unknown")
    both = HubDataOptions(test_split="train")
    (clip, _), (unknown, _) = (load_clips(tmp_path / each, hub=both)["test"] for each in ("classes", "unknown"))
    assert (clip.text, clip.language, clip.speaker) == ("a", "te", "y")
    assert unknown.language is None


def test_columns_of_other_names_can_be_given(clips, cache, tmp_path):
    names = {"audio": "Recording", "transcription": "Words", "language": "Tongue", "speaker_id": "Reader"}
    rows = make_rows(clips["test"], text="not this one", Aim="translate")
    rows.rename_columns(names).save_to_disk(tmp_path)
    hub = HubDataOptions(test_split="train")
    found = load_clips(tmp_path, options=SourceOptions(*names.values()), hub=hub)
    assert described(clips)["test"] == [
        [clip.text, clip.language, clip.speaker, audio_hash(clip)] for clip in found["test"]
    ]
    translated = load_clips(tmp_path, options=SourceOptions(translation_column="text"), hub=hub)["test"]
    assert [(clip.text, clip.task) for clip in translated] == [("not this one", "translate")] * 2
    aimed = load_clips(tmp_path, options=SourceOptions(text_column="Words", task_column="Aim"), hub=hub)["test"]
    assert [(clip.text, clip.task) for clip in aimed] == [(clip.text, "translate") for clip in clips["test"]]
    with pytest.raises(OptionError, match=r"^text_column is 'words', but .* has no such column; found id, Recording, "):
        load_clips(tmp_path, options=SourceOptions(text_column="words"), hub=hub)


def test_wrong_columns_and_rows_are_named(clips, cache, tmp_path):
    rows = make_rows(clips["test"])
    rows.remove_columns(["transcription"]).save_to_disk(tmp_path / "no text")
    rows.remove_columns(["audio"]).add_column("audio", [[0.5], [0.5]]).save_to_disk(tmp_path / "no audio")
    empty = [{"bytes": None, "path": None}, {"bytes": None, "path": "gone.wav"}]
    rows.remove_columns(["audio"]).add_column("audio", empty).save_to_disk(tmp_path / "no recording")
    messages = {
        "no text": "no text column (one of text, transcription, transcript, sentence); found id, audio, language, "
        "speaker_id; give its name as --text-column",
        "no audio": "the column 'audio' holds List(Value('float64')), not recordings; give --audio-column",
    }
    for folder, message in messages.items():
        with pytest.raises(DataError) as error:
            load_clips(tmp_path / folder, hub=HubDataOptions(test_split="train"))
        assert str(error.value) == f"{tmp_path / folder}: {message}"
    folder, bad = tmp_path / "no recording", []
    load_clips(folder, bad, hub=HubDataOptions(test_split="train"))
    assert list(map(str, bad)) == [
        f"{folder}/train, row 0: 'audio' holds neither a recording nor a path",
        f"{folder}/train, row 1: there is no recording {folder}/gone.wav; paths start from the table's folder",
    ]


def test_a_split_of_another_name_has_to_be_chosen(clips, cache, tmp_path):
    write_parquet(tmp_path / "set", {"test": clips["test"]})
    assert [len(found) for found in load_clips(tmp_path / "set").values()] == [0, 0, 2]  # not divided
    datasets.DatasetDict({each: make_rows(clips["test"]) for each in ("a", "b")}).save_to_disk(tmp_path / "saved")
    with pytest.raises(OptionError, match=r"train_split is not given, and .* has no split train, but a, b"):
        load_clips(tmp_path / "saved")
    with pytest.warns(UserWarning, match="splits that are not read: a;"):
        assert len(load_clips(tmp_path / "saved", hub=HubDataOptions(train_split="b"))["train"]) == 2


def test_a_saved_data_set_has_no_configurations(clips, cache, tmp_path):
    make_rows(clips["test"]).save_to_disk(tmp_path)
    with pytest.raises(OptionError) as error:
        load_clips(tmp_path, hub=HubDataOptions(hf_dataset_lang="te_in"))
    assert str(error.value) == (f"hf_dataset_lang: {tmp_path} was saved without configurations; leave out the option")


def test_a_data_set_can_be_named_beside_a_folder_of_its_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "google").mkdir()
    assert is_dataset("google/fleurs", named=True) and not is_dataset("google/fleurs")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError) as error:
        load_clips("google/fleurs")
    assert str(error.value) == (
        "google/fleurs: no such data folder; a Hugging Face data set needs the package datasets: "
        "pip install 'mlx_whisper_lora[hf]'"
    )
