"""A small Hugging Face Hub on loopback, with the parts of its protocol that downloads and uploads use, and faults."""

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONVERTED_COMMIT = COMMIT[::-1]
REVISIONS = {"main": COMMIT, "v1": COMMIT, COMMIT: COMMIT}  # and the commit that they stand for
CONVERTED = {"refs/convert/parquet": CONVERTED_COMMIT, CONVERTED_COMMIT: CONVERTED_COMMIT}


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
        kind: "models" or "datasets".
    """

    daemon_threads = True

    def __init__(self, repository: str, folder: Path, kind: str = "models"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.kind = kind
        self.ended = threading.Event()
        self.serve_folder(folder)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def serve_folder(self, folder: Path) -> None:
        """Serve the files of a folder, without any fault."""
        files = (path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        self.converted: dict[str, bytes] = {}  # the files of the branch that the Hub itself makes of a data set
        self.sizes: dict[str, int | None] = {}  # file name -> another size that is listed, or None for no size
        self.breaks_off: dict[str, int] = {}  # file name -> bytes that are sent
        self.stalls: dict[str, int | None] = {}  # file name -> bytes that are sent before silence; None: no header
        self.in_place: dict[str, bytes] = {}  # file name -> other bytes that are sent
        self.loses_connections = False
        self.hangs = False
        self.downloads: list[str] = []
        self.refuses_uploads = False
        self.license: str | None = None  # on the card that the hub knows

    def close(self) -> None:
        """End, also for those who wait for an answer."""
        self.ended.set()
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def do_POST(self):
        self.asked = self._read_body()
        if self.path.endswith(("/repos/create", "/validate-yaml", "/preupload/main", "/commit/main")):
            self._take_upload()
        else:
            self._answer(body=True)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _take_upload(self) -> None:
        """Take a step of an upload: make the repository, check the card, list the files, and get them in a commit."""
        address = f"{self.server.address}/{self.server.repository}"
        if (self.server.refuses_uploads and "yaml" not in self.path) or not self.headers.get("Authorization"):
            answer: dict = {"error": "no"}
        elif self.path.endswith("/create"):
            answer = {"url": address, "name": self.server.repository}
        elif self.path.endswith("/validate-yaml"):
            answer = {"errors": [], "warnings": []}
        elif self.path.endswith("/preupload/main"):
            paths = [each["path"] for each in json.loads(self.asked)["files"]]
            answer = {"files": [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in paths]}
        else:
            lines = map(json.loads, self.asked.splitlines())
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.server.files |= {each["path"]: base64.b64decode(each["content"]) for each in files}
            answer = {"commitUrl": f"{address}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
        self._reply(403 if "error" in answer else 200, json.dumps(answer).encode(), True)

    def _answer(self, body: bool) -> None:
        if self.server.loses_connections:
            return
        if self.server.hangs:
            self.server.ended.wait()
            return
        repository, api, path = self.server.repository, f"/api/{self.server.kind}", self.path.split("?")[0]
        if wrong := WRONG_ANSWERS.get(path.removeprefix(f"{api}/").split("/revision")[0]):
            self._reply(wrong.status, wrong.body, body, **wrong.headers)
            return
        # tree/main/folder, paths-info/main, revision/main or resolve/main/file
        request = path.removeprefix(api).removeprefix("/datasets").removeprefix(f"/{repository}").strip("/")
        action, revision, name = [*map(unquote, request.split("/", 2)), "", "", ""][:3]
        converted = self.server.converted
        files = converted if revision in CONVERTED else self.server.files
        commit = (REVISIONS | CONVERTED if converted else REVISIONS).get(revision or "main")
        if repository not in path:
            self._fail("RepoNotFound", body)
        elif commit is None:
            self._fail("RevisionNotFound", body)
        elif action == "resolve" and name in files:
            self._send_file(name, files[name], commit, body)
        elif action == "resolve" or (action == "tree" and name and not _below(files, name)):
            self._fail("EntryNotFound", body)
        elif action == "tree":
            names = _below(files, name) if "recursive=true" in self.path.lower() else _children(files, name)
            self._reply(200, json.dumps([self._entry(files, each) for each in names]).encode(), body)
        elif action == "paths-info":
            names = [each for each in json.loads(self.asked)["paths"] if each in files or _below(files, each)]
            self._reply(200, json.dumps([self._entry(files, each) for each in names]).encode(), body)
        else:
            siblings = [{"rfilename": name, "size": self._size(files, name)} for name in files]
            info = {"id": repository, "sha": commit, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
            info |= {"cardData": {"license": self.server.license}} if self.server.license else {}
            self._reply(200, json.dumps(info).encode(), body)

    def _entry(self, files: dict[str, bytes], name: str) -> dict:
        """Describe a file or a folder, as in a listing."""
        about = {"path": name, "size": self._size(files, name), "oid": hashlib.sha1(name.encode()).hexdigest()}
        return about | {"type": "file" if name in files else "directory"}

    def _size(self, files: dict[str, bytes], name: str) -> int | None:
        """Return the size that this hub says a file has; of a folder, 0."""
        return self.server.sizes.get(name, len(files.get(name, b"")))

    def _send_file(self, name: str, data: bytes, commit: str, body: bool) -> None:
        stall = self.server.stalls.get(name, len(data))
        if stall is None:
            self.server.ended.wait()
            return
        data = self.server.in_place.get(name, data)
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
        first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        start, stop = int(first), min(int(last) + 1, len(data)) if last else len(data)
        if body:
            self.server.downloads.append(name)
        part = start > 0 or stop < len(data)
        if part:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        end = min(self.server.breaks_off.get(name, stop), stall, stop)
        self._reply(206 if part else 200, data[start:end], body, **{"Content-Length": str(stop - start), **headers})
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


def _below(files: Mapping[str, bytes], folder: str) -> list[str]:
    """Return the names of the files in a folder and in its subfolders."""
    return [name for name in files if not folder or name.startswith(f"{folder}/")]


def _children(files: Mapping[str, bytes], folder: str) -> list[str]:
    """Return the names of the files and folders that are directly in a folder."""
    start = f"{folder}/" if folder else ""
    return sorted({start + name.removeprefix(start).split("/")[0] for name in _below(files, folder)})
