"""Models from the Hugging Face Hub, against a small hub on loopback."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers import Outcome, run_python

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/whisper-small-mlx"
LOAD = "import sys; from mlx_whisper_lora import load_model; print('width', load_model(sys.argv[1]).dims.n_audio_state)"
DESCRIBE = (
    "import sys\nfrom mlx_whisper_lora import load_model\n"
    "try:\n load_model(sys.argv[1])\nexcept ValueError as error:\n print(type(error).__name__, error)"
)


class Hub(ThreadingHTTPServer):
    """The parts of the hub's protocol that a download uses, over the files in `folder`."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.downloads: list[str] = []
        self.loses_connections = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        if self.server.loses_connections:
            return
        path = self.path.split("?")[0]
        name = path.rsplit("/", 1)[-1]
        if path.startswith(f"/{REPOSITORY}/resolve/") and name in self.server.files:
            data = self.server.files[name]
            if body:
                self.server.downloads.append(name)
            self.reply(200, data, body, ETag=f'"{hashlib.sha1(data).hexdigest()}"', **{"X-Repo-Commit": COMMIT})
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            tree = [{"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in self.server.files.items()]  # fmt: skip
            self.reply(200, json.dumps(tree).encode(), body)
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in self.server.files]
            info = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
            self.reply(200, json.dumps(info).encode(), body)
        else:
            code = {"X-Error-Code": "EntryNotFound" if REPOSITORY in path else "RepoNotFound"}
            self.reply(404, b'{"error": "Repository not found"}', body, **code)

    def reply(self, status: int, data: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def hub(model_folder) -> Iterator[Hub]:
    server = Hub(model_folder)
    server.files |= {"README.md": b"A model.", "pytorch_model.bin": b"not for us"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(program: str, name: str, hub: Hub, home: Path, **environment: str) -> Outcome:
    return run_python("-c", program, name, HF_ENDPOINT=hub.address, HF_HOME=str(home), HF_HUB_DISABLE_TELEMETRY="1",
                      **environment)  # fmt: skip


def test_a_repository_is_downloaded_once_and_then_found_offline(hub, tmp_path):
    outcome = run(LOAD, REPOSITORY, hub, tmp_path)
    assert outcome.out == "width 64\n", outcome.err
    assert sorted(hub.downloads) == ["config.json", "weights.safetensors"]  # no other file
    offline = run(LOAD, REPOSITORY, hub, tmp_path, HF_HUB_OFFLINE="1")
    assert offline.out == "width 64\n", offline.err
    assert len(hub.downloads) == 2


def test_a_repository_that_does_not_exist_is_one_clear_line(hub, tmp_path):
    home = tmp_path / "home"
    outcome = run_python("-m", "mlx_whisper_lora.lora", "--test", "--model", "someone/typo", "--data", tmp_path,
                         HF_ENDPOINT=hub.address, HF_HOME=str(home))  # fmt: skip
    assert outcome.code == 1
    assert outcome.err == (
        "mlx_whisper_lora.lora: error: someone/typo: neither a folder here nor a repository on the Hugging Face Hub\n"
    )


def test_offline_without_the_files_is_one_clear_line(hub, tmp_path):
    outcome = run(DESCRIBE, REPOSITORY, hub, tmp_path, HF_HUB_OFFLINE="1")
    assert outcome.out.startswith(
        f"CheckpointError {REPOSITORY}: not a folder here, and it cannot be had from the Hub ("
    )
    assert outcome.err == "" and hub.downloads == []


@pytest.mark.parametrize("fault", ["nobody listens", "connections are lost"])
def test_a_hub_out_of_reach_is_one_clear_line(fault, hub, tmp_path):
    hub.loses_connections = True
    if fault == "nobody listens":
        hub.shutdown()
        hub.server_close()
    outcome = run(DESCRIBE, REPOSITORY, hub, tmp_path)
    assert outcome.out.startswith(
        f"CheckpointError {REPOSITORY}: not a folder here, and it cannot be had from the Hub ("
    )
    assert outcome.err == ""


def test_weights_that_are_not_whispers_are_not_downloaded(hub, tmp_path):
    hub.files["config.json"] = b'{"architectures": ["WhisperForConditionalGeneration"], "d_model": 768}'
    outcome = run(DESCRIBE, REPOSITORY, hub, tmp_path)
    assert "n_mels is missing; models in the layout of mlx-community" in outcome.out
    assert hub.downloads == ["config.json"]
