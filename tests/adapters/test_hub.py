"""Adapters on the Hugging Face Hub, with a small hub on loopback in its place: upload, card, download."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, read_adapter, save_adapter
from mlx_whisper_lora.adapters.card import make_card
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.record import Record, Scores
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from tests.support.peft_folders import write_peft_folder
from tests.support.processes import Outcome, run_python
from tools.hub import Hub

REPOSITORY = "someone/whisper-te"
OPEN = (
    "import sys\nfrom mlx_whisper_lora.adapters.open import open_adapter\n"
    "for name in sys.argv[1:]:\n"
    " try:\n  found = open_adapter(name)\n  print(found.config.language, len(found.arrays))\n"
    " except ValueError as error:\n  print(type(error).__name__, error)"
)
CARD = """\
---
base_model: "openai/whisper-small"
base_model_relation: "adapter"
library_name: "peft"
license: "apache-2.0"
language: "te"
pipeline_tag: "automatic-speech-recognition"
tags: ["whisper", "mlx", "mlx_whisper_lora", "lora"]
---

# whisper-te

An adapter for [openai/whisper-small](https://huggingface.co/openai/whisper-small) for transcripts of Telugu.

## Use

    python -m mlx_whisper_lora.transcribe --audio x.wav --adapter-file someone/whisper-te --model \
mlx-community/whisper-small-mlx

With transformers and PEFT:

    base = WhisperForConditionalGeneration.from_pretrained("openai/whisper-small")
    model = PeftModel.from_pretrained(base, "someone/whisper-te")

## Training

- Method: lora: rank 2, layers 1, targets attn.query
- Language: Telugu
- Task: transcribe
- Audio in a window: 30 s
- Clips: 2, 1.5 minutes
- Data: telugu, google/fleurs

## Results

On 20 validation clips, by which it was chosen, with 95 % intervals over clips:

- WER 40.00 % (30.25 to 50.00); the base: 120.00 %
- CER 10.00 % (8.00 to 12.00); the base: 60.00 %

## License

The base has the license apache-2.0.
"""


@pytest.fixture
def adapter_file(tmp_path, model_folder) -> Path:
    model = load_model(model_folder, mx.float32)
    base = replace(Base.of(model, str(model_folder)), repository="mlx-community/whisper-small-mlx")
    settings = LoRAConfig(rank=2, layers=1, targets=("attn.query",))
    scores = Scores(20, 40.0, (30.25, 50.0), 10.0, (8.0, 12.0), base_wer=120.0, base_cer=60.0)
    record = Record(("telugu", "google/fleurs"), 1.5, scores)
    config = AdapterConfig(settings, "te", "transcribe", 30.0, base, "5eed", frozenset({1, 2}), record=record)
    add_adapter(model, settings)
    save_adapter(tmp_path / "a.npz", model, config)
    return tmp_path / "a.npz"


@pytest.fixture
def hub(tmp_path) -> Iterator[Hub]:
    (tmp_path / "repository").mkdir()
    server = Hub(REPOSITORY, tmp_path / "repository")
    yield server
    server.close()


def run(*arguments: str | Path, hub: Hub, home: Path, **environment: str) -> Outcome:
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return run_python(*arguments, HF_ENDPOINT=hub.address, HF_HOME=str(home), **quiet, **environment)


def test_the_card_is_filled_from_the_configuration(adapter_file):
    config = read_adapter(adapter_file).config
    assert make_card(REPOSITORY, config, "peft", "apache-2.0") == CARD
    local = replace(config, language=None, base=replace(config.base, name="/home/me/tiny.pt", repository=None))
    card = make_card(REPOSITORY, local, "hf", None)
    assert "A fine-tuned copy of tiny.pt for transcripts.\n" in card and "/home/me" not in card
    assert "## Results" not in make_card(REPOSITORY, replace(config, record=None), "hf", None)
    assert "base_model:" not in card and "license:" not in card and 'library_name: "transformers"' in card


@pytest.mark.slow
def test_an_adapter_is_uploaded_with_its_card_and_downloaded_again(adapter_file, hub, tmp_path):
    convert = ("-m", "mlx_whisper_lora.convert", "--adapter-file", adapter_file, "--export", "peft")
    upload = (*convert, "--save-path", tmp_path / "out", "--upload-repo", REPOSITORY)
    outcome = run(*upload, hub=hub, home=tmp_path / "home", HF_TOKEN="hf_x")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"Uploaded to {hub.address}/{REPOSITORY}"
    assert sorted(hub.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert hub.files["README.md"].decode() == CARD.replace('license: "apache-2.0"\n', "").replace(
        "The base has the license apache-2.0.", "The license of the base holds for what is made from it."
    )
    hub.files["other.safetensors"] = b"not for us"
    found = run("-c", OPEN, REPOSITORY, f"{REPOSITORY}@v1", f"{REPOSITORY}@v2", hub=hub, home=tmp_path / "home")
    assert found.out.splitlines() == [
        "te 4",
        "te 4",
        f"CheckpointError {REPOSITORY}@v2: the Hugging Face Hub has no revision 'v2' of this repository",
    ], found.err
    assert sorted(set(hub.downloads)) == ["adapter_config.json", "adapter_model.safetensors"]
    offline = run("-c", OPEN, REPOSITORY, hub=hub, home=tmp_path / "home", HF_HUB_OFFLINE="1")
    assert offline.out == "te 4\n", offline.err


@pytest.mark.slow
def test_a_fused_model_is_uploaded_with_its_card(adapter_file, hub, tmp_path, model_folder):
    fuse = ("-m", "mlx_whisper_lora.fuse", "--adapter-file", adapter_file, "--model", model_folder)
    upload = (*fuse, "--save-path", tmp_path / "out", "--upload-repo", REPOSITORY)
    outcome = run(*upload, hub=hub, home=tmp_path / "home", HF_TOKEN="hf_x")
    assert outcome.code == 0, outcome.err
    assert sorted(hub.files) == ["README.md", "config.json", "generation_config.json", "weights.safetensors"]
    assert f"--model {REPOSITORY}" in hub.files["README.md"].decode()


@pytest.mark.slow
def test_an_upload_that_cannot_work_is_one_line(adapter_file, hub, tmp_path):
    convert = ("-m", "mlx_whisper_lora.convert", "--adapter-file", adapter_file, "--export", "peft")
    upload = (*convert, "--save-path", tmp_path / "out", "--upload-repo", REPOSITORY)
    start = "mlx_whisper_lora.convert: error: "
    no_login = run(*upload, hub=hub, home=tmp_path / "home", HF_TOKEN="")
    line = f"{REPOSITORY}: an upload requires a login: log in with `hf auth login` or set HF_TOKEN"
    assert (no_login.code, no_login.err) == (1, f"{start}{line}\n") and not (tmp_path / "out").exists()
    hub.refuses_uploads = True
    refused = run(*upload, hub=hub, home=tmp_path / "home", HF_TOKEN="hf_x")
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"{start}{REPOSITORY}: the upload failed (the Hugging Face Hub answered 403: access")
    assert refused.err.endswith(f"upload them with `hf upload {REPOSITORY} {tmp_path / 'out'}`\n")
    not_empty = run(*upload, hub=hub, home=tmp_path / "home", HF_TOKEN="hf_x")
    assert not_empty.code == 2 and "--upload-repo uploads all files of --save-path" in not_empty.err


@pytest.mark.slow
def test_repositories_that_are_not_adapters_of_ours(hub, tmp_path):
    hub.serve_folder(write_peft_folder(tmp_path / "peft", lora_bias=True))
    biased = run("-c", OPEN, REPOSITORY, "someone/typo", hub=hub, home=tmp_path / "home")
    lines = biased.out.splitlines()
    assert lines[0].startswith("AdapterError ") and "adapter_config.json: lora_bias is true" in lines[0]
    assert lines[1].startswith("CheckpointError someone/typo: no local folder and no repository on the Hugging Face H")
    hub.files = {"config.json": b"{}", "weights.npz": b"a model"}
    model = run("-c", OPEN, REPOSITORY, hub=hub, home=tmp_path / "other")
    assert model.out == (
        f"CheckpointError {REPOSITORY}: no adapter_config.json and no adapters.npz, so this is not an adapter\n"
    )
    assert "weights.npz" not in hub.downloads
