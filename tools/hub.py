"""A small Hugging Face Hub on loopback, with the parts of its protocol that a download uses, and with faults."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v1", COMMIT)


class Answer(NamedTuple):
    """An answer to every question about a repository."""

    status: int
    body: bytes = b'{"error": "no"}'
    headers: Mapping[str, str] = MappingProxyType({})


LOGIN_PAGE = b"<!DOCTYPE html><html><title>Welcome to the hotel</title></html>"
WRONG_ANSWERS = {  # by the name of the repository
    "fault/page": Answer(200, LOGIN_PAGE, {"Content-Type": "text/html"}),
    "fault/other": Answer(200, b'{"status": "ok"}'),
    "fault/loop": Answer(302, headers={"Location": "/api/models/fault/loop"}),
    "fault/gated": Answer(403, headers={"X-Error-Code": "GatedRepo"}),
    "fault/private": Answer(401, headers={"X-Error-Code": "RepoNotFound"}),
    "fault/token": Answer(401, headers={"X-Error-Message": "Invalid credentials in"}),
    "fault/403": Answer(403),
    "fault/429": Answer(429),
    "fault/500": Answer(500),
    "fault/503": Answer(503),
}


class Hub(ThreadingHTTPServer):
    """A server of one repository.

    Args:
        repository: the name of the repository.
        folder: the folder with its files.
    """

    daemon_threads = True

    def __init__(self, repository: str, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.ended = threading.Event()
        self.serve_folder(folder)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def serve_folder(self, folder: Path) -> None:
        """Serve the files of a folder, without any fault."""
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.sizes: dict[str, int | None] = {}  # file name -> another size that is listed, or None for no size
        self.breaks_off: dict[str, int] = {}  # file name -> bytes that are sent
        self.stalls: dict[str, int | None] = {}  # file name -> bytes that are sent before silence; None: no header
        self.in_place: dict[str, bytes] = {}  # file name -> other bytes that are sent
        self.loses_connections = False
        self.hangs = False
        self.downloads: list[str] = []

    def close(self) -> None:
        """End, also for those who wait for an answer."""
        self.ended.set()
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def listed_sizes(self) -> dict[str, int | None]:
        """Return the files, with the sizes that this hub says they have."""
        return {name: len(data) for name, data in self.files.items()} | self.sizes


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.server.loses_connections:
            return
        if self.server.hangs:
            self.server.ended.wait()
            return
        if wrong := WRONG_ANSWERS.get(self.path.removeprefix("/api/models/").split("/revision")[0].split("?")[0]):
            self._reply(wrong.status, wrong.body, body, **wrong.headers)
            return
        repository, path = self.server.repository, self.path.split("?")[0]
        parts = path.removeprefix("/api/models").removeprefix(f"/{repository}").strip("/").split("/")
        revision = parts[1] if len(parts) > 1 else "main"  # resolve/main/name, tree/main, revision/main
        if repository not in path:
            self._fail("RepoNotFound", body)
        elif revision not in REVISIONS:
            self._fail("RevisionNotFound", body)
        elif parts[0] == "resolve" and parts[-1] in self.server.files:
            self._send_file(parts[-1], body)
        elif parts[0] == "resolve":
            self._fail("EntryNotFound", body)
        elif parts[0] == "tree":
            tree = [
                {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(name.encode()).hexdigest()}
                for name, size in self.server.listed_sizes().items()
            ]
            self._reply(200, json.dumps(tree).encode(), body)
        else:
            siblings = [{"rfilename": name, "size": size} for name, size in self.server.listed_sizes().items()]
            info = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
            self._reply(200, json.dumps(info).encode(), body)

    def _send_file(self, name: str, body: bool) -> None:
        stall = self.server.stalls.get(name, len(self.server.files[name]))
        if stall is None:
            self.server.ended.wait()
            return
        data = self.server.in_place.get(name, self.server.files[name])
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if body:
            self.server.downloads.append(name)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        end = min(self.server.breaks_off.get(name, len(data)), stall)
        self._reply(
            206 if start else 200, data[start:end], body, **{"Content-Length": str(len(data) - start), **headers}
        )
        if body and name in self.server.stalls:
            self.server.ended.wait()

    def _fail(self, code: str, body: bool) -> None:
        self._reply(404, b'{"error": "Not found"}', body, **{"X-Error-Code": code})

    def _reply(self, status: int, data: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass
