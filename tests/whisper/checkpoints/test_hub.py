"""Models from the Hugging Face Hub, with a small hub on loopback in its place."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_ctranslate2
from tests.support.models import small_model
from tests.support.processes import Outcome, run_python
from tests.support.references import CHECKPOINTS
from tools.hub import COMMIT, LOGIN_PAGE, WRONG_ANSWERS, Hub

REPOSITORY = "someone/whisper-small-mlx"
LOAD = "import sys; from mlx_whisper_lora import load_model; print('width', load_model(sys.argv[1]).dims.n_audio_state)"
DESCRIBE = (
    "import sys\nfrom mlx_whisper_lora import load_model\n"
    "for name in sys.argv[1:]:\n"
    " try:\n  print('width', load_model(name).dims.n_audio_state)\n"
    " except ValueError as error:\n  print(type(error).__name__, error)"
)


STRANGE = "the answer is not the Hugging Face Hub's, but perhaps the login page of this network"
MESSAGES = {  # on each of WRONG_ANSWERS
    "fault/page": STRANGE,
    "fault/other": STRANGE,
    "fault/loop": STRANGE,
    "fault/gated": "this repository is gated: accept its terms",
    "fault/private": "if it is private, log in with `hf auth",
    "fault/token": "the token is not valid",
    "fault/403": "the Hugging Face Hub answered 403: access is denied",
    "fault/429": "the Hugging Face Hub answered 429: too many requests; wait some minutes",
    "fault/500": "the Hugging Face Hub answered 500: try again later",
    "fault/503": "the Hugging Face Hub answered 503: try again later",
}


@pytest.fixture
def hub(model_folder) -> Iterator[Hub]:
    server = Hub(REPOSITORY, model_folder)
    server.files |= {"README.md": b"A model.", "pytorch_model.bin": b"not for us"}
    yield server
    server.close()


def run(program: str, *names: str, hub: Hub, home: Path, **environment: str) -> Outcome:
    return run_python(
        "-c", program, *names, HF_ENDPOINT=hub.address, HF_HOME=str(home), HF_HUB_DISABLE_TELEMETRY="1", **environment
    )


@pytest.mark.slow
def test_a_repository_is_downloaded_once_and_then_found_offline(hub, tmp_path):
    outcome = run(LOAD, REPOSITORY, hub=hub, home=tmp_path)
    assert outcome.out == "width 64\n", outcome.err
    assert sorted(hub.downloads) == ["config.json", "generation_config.json", "weights.safetensors"]  # no other file
    offline = run(LOAD, REPOSITORY, hub=hub, home=tmp_path, HF_HUB_OFFLINE="1")
    assert offline.out == "width 64\n", offline.err
    hub.shutdown()  # without a network, and without HF_HUB_OFFLINE
    hub.server_close()
    gone = run(LOAD, REPOSITORY, hub=hub, home=tmp_path)
    assert gone.out == "width 64\n", gone.err
    assert len(hub.downloads) == 3


@pytest.mark.slow
def test_a_repository_that_does_not_exist_is_one_clear_line(hub, tmp_path):
    home = tmp_path / "home"
    outcome = run_python(
        "-m",
        "mlx_whisper_lora.lora",
        "--test",
        "--model",
        "someone/typo",
        "--data",
        tmp_path,
        HF_ENDPOINT=hub.address,
        HF_HOME=str(home),
    )
    assert outcome.code == 1
    assert outcome.err == (
        "mlx_whisper_lora.lora: error: someone/typo: no local folder and no repository on the Hugging Face Hub\n"
    )


@pytest.mark.slow
def test_offline_without_the_files_is_one_clear_line(hub, tmp_path):
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path, HF_HUB_OFFLINE="1")
    assert outcome.out.startswith(
        f"CheckpointError {REPOSITORY}: not in the cache of downloads, or not completely, and the"
    )
    assert outcome.err == "" and hub.downloads == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["nobody listens", "connections are lost"])
def test_a_hub_out_of_reach_is_one_clear_line(fault, hub, tmp_path):
    hub.loses_connections = True
    if fault == "nobody listens":
        hub.shutdown()
        hub.server_close()
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path)
    assert outcome.out.startswith(f"CheckpointError {REPOSITORY}: ") and outcome.out.count("\n") == 1
    assert "Hub cannot be reached" in outcome.out or "the download from the Hugging Face Hub failed (" in outcome.out
    assert outcome.err == ""


@pytest.mark.slow
def test_each_fault_of_the_hub_has_a_line_of_its_own(hub, tmp_path):
    outcome = run(DESCRIBE, *WRONG_ANSWERS, hub=hub, home=tmp_path)
    assert outcome.err == ""
    for line, name in zip(outcome.out.splitlines(), WRONG_ANSWERS, strict=True):
        assert line.startswith(f"CheckpointError {name}: ") and MESSAGES[name] in line


@pytest.mark.slow
def test_a_hub_that_never_answers_is_left_for_the_cache(hub, tmp_path):
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path).out == "width 64\n"
    hub.hangs = True
    outcome = run(DESCRIBE, REPOSITORY, "someone/other", hub=hub, home=tmp_path, HF_HUB_ETAG_TIMEOUT="1")
    silent = f"{hub.address} did not answer within 1 s: try again later, or check the network and HF_ENDPOINT"
    assert outcome.out == f"width 64\nCheckpointError someone/other: {silent}\n"
    assert outcome.err == f"{REPOSITORY}: {silent}. The copy in the cache of downloads is used.\n"


@pytest.mark.slow
def test_a_hub_that_lists_files_and_then_never_sends_them_is_left_soon(hub, tmp_path):
    hub.stalls["config.json"] = None
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path, HF_HUB_ETAG_TIMEOUT="1")
    assert f"CheckpointError {REPOSITORY}: {hub.address} did not answer within 1 s" in outcome.out
    assert outcome.err == ""  # no attempt was repeated


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_file_of_another_size_than_the_hub_says_is_removed(name, hub, tmp_path):
    hub.in_place = {name: LOGIN_PAGE}
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path)
    assert f"{REPOSITORY}: the download of {name} has {len(LOGIN_PAGE)} bytes in the place of" in outcome.out
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == LOGIN_PAGE]
    hub.in_place = {}
    assert run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path).out == "width 64\n"


@pytest.mark.slow
def test_the_files_of_a_tokenizer_are_downloaded_too(hub, tmp_path):
    hub.files["added_tokens.json"] = json.dumps({"<|en|>": 50260}).encode()
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path)
    assert "added_tokens.json: <|en|> is token 50260, but in Whisper's vocabulary it is 50259" in outcome.out


@pytest.mark.slow
def test_weights_that_are_not_whispers_are_not_downloaded(hub, tmp_path):
    hub.files["config.json"] = b'{"model_type": "wav2vec2", "hidden_size": 768}'
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path)
    assert "this is a wav2vec2 model, not Whisper" in outcome.out
    assert hub.downloads == ["config.json"]


@pytest.mark.slow
def test_revisions(hub, tmp_path):
    names = (f"{REPOSITORY}@v1", f"{REPOSITORY}@{COMMIT}", f"{REPOSITORY}@v2")
    outcome = run(DESCRIBE, *names, hub=hub, home=tmp_path)
    assert outcome.out.splitlines() == [
        "width 64",
        "width 64",
        f"CheckpointError {REPOSITORY}@v2: the Hugging Face Hub has no revision 'v2' of this repository",
    ]
    assert len(hub.downloads) == 3


@pytest.mark.slow
def test_a_download_that_breaks_off_is_reported_and_continued(hub, tmp_path):
    hub.breaks_off["weights.safetensors"] = 1_000_000
    program = "import time; time.sleep = lambda seconds: None\n" + DESCRIBE  # the Hub's client waits between tries
    outcome = run(program, REPOSITORY, hub=hub, home=tmp_path)
    assert outcome.out.startswith(f"CheckpointError {REPOSITORY}: no local folder, and the download from the Hu")
    assert outcome.out.count("\n") == 1
    offline = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path, HF_HUB_OFFLINE="1")  # half a file is not used
    assert offline.out.startswith("CheckpointError ") and offline.out.count("\n") == 1
    hub.breaks_off.clear()
    assert run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path).out == "width 64\n"


@pytest.mark.slow
def test_a_repository_of_transformers_in_several_files(hub, tmp_path):
    hub.serve_folder(CHECKPOINTS / "transformers_sharded")
    hub.files |= {"model.fp32-00001-of-00002.safetensors": b"not for us", "tf_model.h5": b"not for us"}
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path / "one").out == "width 8\n"
    assert sorted(hub.downloads) == [
        "config.json",
        "generation_config.json",
        *(f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)),
        "model.safetensors.index.json",
    ]
    del hub.files["model-00002-of-00003.safetensors"]
    outcome = run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path / "two")
    assert "model-00002-of-00003.safetensors: the file is missing" in outcome.out


@pytest.mark.slow
def test_a_repository_without_weights(hub, tmp_path):
    hub.files = {name: hub.files[name] for name in ("config.json", "README.md")}
    assert "no weights; expected one of" in run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path).out


@pytest.mark.slow
def test_a_repository_of_something_else(hub, tmp_path):
    hub.files = {"README.md": b"A data set."}
    assert f"{REPOSITORY}: no config.json and no .pt file" in run(DESCRIBE, REPOSITORY, hub=hub, home=tmp_path).out


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["transformers_torch", "transformers_torch_sharded"])
def test_a_repository_with_pytorchs_weights_alone(folder, hub, tmp_path):
    hub.serve_folder(CHECKPOINTS / folder)
    expected = sorted(hub.files)
    hub.files |= {"tf_model.h5": b"not for us", "flax_model.msgpack": b"not for us"}
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path).out == "width 8\n"
    assert sorted(hub.downloads) == expected
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path, HF_HUB_OFFLINE="1").out == "width 8\n"


@pytest.mark.slow
def test_a_repository_of_ctranslate2(hub, tmp_path):
    write_ctranslate2(small_model(), tmp_path / "ct2")
    hub.serve_folder(tmp_path / "ct2")
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path / "home").out == "width 64\n"
    assert sorted(hub.downloads) == ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"]


@pytest.mark.slow
def test_a_repository_with_a_pt_file(hub, tmp_path):
    hub.files = {"tiny.pt": (CHECKPOINTS / "float16.pt").read_bytes(), "README.md": b"A model."}
    assert run(LOAD, REPOSITORY, hub=hub, home=tmp_path).out == "width 8\n"
    assert hub.downloads == ["tiny.pt"]


@pytest.mark.slow
def test_a_size_is_mlx_communitys_repository(hub, tmp_path):
    hub.repository = "mlx-community/whisper-base.en-mlx"
    assert run(LOAD, "base.en", hub=hub, home=tmp_path).out == "width 64\n"
