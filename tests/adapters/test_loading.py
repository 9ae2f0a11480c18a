"""Loading models: with the arguments of openai-whisper's load_model, and which base is put under an adapter."""

import shutil
import warnings
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.loading import find_model, load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.assets import DEMO_MODEL
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints import hub
from mlx_whisper_lora.whisper.checkpoints.hub import available_models, find_download
from tests.support.clips import tone
from tests.support.models import small_model
from tests.support.references import CHECKPOINTS

REPOSITORY = "someone/whisper-of-three-gigabytes"


def test_the_device_in_use_is_taken_and_another_one_is_noted(model_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(model_folder, "cpu", None, True).to("cpu")
    for ask in (
        lambda: load_model(model_folder, "cuda:0"),
        lambda: load_model(model_folder, device="mps"),
        lambda: load_model(model_folder).to("cuda:0"),
        lambda: log_mel_spectrogram(tone(0.1), device="cuda"),
    ):
        with pytest.warns(UserWarning, match="`device` .* has no effect: MLX computes on the CPU"):
            ask()


def test_a_model_that_openai_whisper_has_downloaded_is_found(tmp_path, model_folder):
    shutil.copy(CHECKPOINTS / "float32.pt", tmp_path / "large-v3.pt")
    assert load_model("large", download_root=tmp_path).dims == load_model(CHECKPOINTS / "float32.pt").dims
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(model_folder, download_root=tmp_path)
    with pytest.warns(UserWarning, match=r"there is no .*small\.pt: the model comes from the Hugging Face Hub"):
        assert find_download("small", tmp_path) is None


def test_the_available_models_are_openai_whispers():
    sizes = ("tiny", "base", "small", "medium")
    large = {"large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo"}
    assert set(available_models()) == {*sizes, *(f"{size}.en" for size in sizes), *large}


def adapter(base_name: str, repository: str | None = None) -> AdapterConfig:
    base = Base(base_name, small_model().dims.to_dict(), "0123", repository)
    return AdapterConfig(LoRAConfig(), "te", "transcribe", 0.0, base)


@pytest.fixture
def cache(monkeypatch) -> dict[str, Path]:
    """The cache of downloads: a folder for each repository. A download fails the test."""
    folders: dict[str, Path] = {}

    def snapshot(repository, *, local_files_only=False, **_):
        assert local_files_only, f"{repository} is downloaded"
        if repository not in folders:
            raise LocalEntryNotFoundError("not here")
        return str(folders[repository])

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    return folders


def test_the_path_of_a_base_is_stored_without_links_and_is_found_from_every_folder(tmp_path, model_folder, monkeypatch):
    (tmp_path / "link").symlink_to(model_folder)
    monkeypatch.chdir(tmp_path)
    base = Base.of(small_model(), "link")
    assert (base.name, base.repository) == (str(model_folder.resolve()), None)
    monkeypatch.chdir("/")
    assert find_model(None, adapter(base.name)).path == model_folder.resolve()


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("small", "mlx-community/whisper-small-mlx"),
        ("someone/whisper", "someone/whisper"),
        ("someone/whisper@v1", "someone/whisper@v1"),
        ("demo", None),
    ],
)
def test_a_base_from_the_hub_is_stored_by_its_name_and_its_repository(name, repository):
    base = Base.of(small_model(), name)
    assert (base.name, base.repository) == (name, repository)


def test_a_folder_in_the_cache_of_downloads_has_a_repository(tmp_path):
    folder = tmp_path / "hub" / "models--someone--whisper-te" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    base = Base.of(small_model(), str(folder))
    assert (base.name, base.repository) == (str(folder.resolve()), "someone/whisper-te")


def test_a_base_whose_folder_is_gone_is_found_in_the_cache_of_downloads(model_folder, cache):
    cache[REPOSITORY] = model_folder
    assert find_model(None, adapter("/gone/model", REPOSITORY)) == (REPOSITORY, model_folder)


@pytest.mark.parametrize(
    ("name", "repository", "advice"),
    [
        ("/gone/model", None, "give the base with --model"),
        ("model", None, "give the base with --model"),
        (REPOSITORY, None, f"--model, or --model {REPOSITORY} to download it"),  # by an older version
        ("small", "mlx-community/whisper-small-mlx", "--model, or --model mlx-community/whisper-small-mlx to download"),
        ("/gone/model", REPOSITORY, f"--model, or --model {REPOSITORY} to download it"),
    ],
)
def test_a_base_that_only_the_adapter_names_is_not_downloaded(name, repository, advice, cache):
    with pytest.raises(AdapterError, match=f"^a.npz: this adapter names its base {name}, which is not .*{advice}"):
        find_model(None, adapter(name, repository), "a.npz")


def test_the_user_names_another_base_or_none(model_folder):
    assert find_model(model_folder, adapter("/gone/model")) == (str(model_folder), model_folder)
    assert find_model(None, bundled=True) == ("demo", DEMO_MODEL)
