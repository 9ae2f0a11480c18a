"""Loading models with the arguments of openai-whisper's load_model."""

import shutil
import warnings

import pytest

from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.hub import available_models, find_download
from tests.support.clips import tone
from tests.support.references import CHECKPOINTS


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
