"""A server on this machine that speaks as much of the Hugging Face hub's protocol as we use."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

_REPO = r"(?P<id>[^/]+/[^/]+)"
_INFO = re.compile(rf"/api/(?P<kind>dataset|model)s/{_REPO}(/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(rf"/api/(?P<kind>dataset|model)s/{_REPO}/tree/(?P<revision>[^/]+)")
_SEARCH = re.compile(r"/api/(?P<kind>dataset|model)s")
_FILE = re.compile(rf"/((?P<kind>dataset)s/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class FakeRepo:
    files: dict[str, bytes]
    commit: str = "c0ffee" + 34 * "0"
    refuse_files: tuple[int, str] | None = None
    """Status and `X-Error-Code` for every file."""

    stated_sha256: dict[str, str] = field(default_factory=dict)
    """By file; the hub states checksums for large files only."""

    def entries(self) -> list[dict]:
        return [
            {
                "type": "file",
                "path": name,
                "rfilename": name,
                "size": len(content),
                "oid": hashlib.sha1(content).hexdigest(),
                "blobId": hashlib.sha1(content).hexdigest(),
                **self._lfs(name, content),
            }
            for name, content in self.files.items()
        ]

    def _lfs(self, name: str, content: bytes) -> dict:
        if name not in self.stated_sha256:
            return {}
        digest = self.stated_sha256[name]
        facts = {"size": len(content), "sha256": digest, "oid": digest, "pointerSize": 134}
        return {"lfs": facts}


class FakeHub:
    """Repositories by kind and id, and what was asked of them."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], FakeRepo] = {}
        self.status: int | None = None
        """Answer everything with this instead."""

        self.requests: list[str] = []
        self.endpoint = ""

    def add(self, kind: str, name: str, files: dict[str, bytes], **facts) -> FakeRepo:
        self.repos[kind, name] = FakeRepo(files, **facts)
        return self.repos[kind, name]

    def downloaded(self) -> list[str]:
        return [path.rpartition("/")[2] for verb, path in map(str.split, self.requests)
                if verb == "GET" and "/resolve/" in path]  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return self.server.hub

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.status is not None:
            self._send(self.hub.status, b"{}")
        elif match := _SEARCH.fullmatch(path):
            self._search(match["kind"])
        elif match := _TREE.fullmatch(path):
            self._with_repo(match, lambda repo: self._send_json(repo.entries()))
        elif match := _INFO.fullmatch(path):
            self._with_repo(match, lambda repo: self._info(match["id"], repo))
        elif match := _FILE.fullmatch(path):
            self._with_repo(match, lambda repo: self._file(match["file"], repo))
        else:
            self._send(404, b"{}")

    def _with_repo(self, match: re.Match, then) -> None:
        repo = self.hub.repos.get((match["kind"] or "model", match["id"]))
        if repo is None:
            # To somebody who is not logged in the hub does not tell "private" from "unknown".
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif match["revision"] not in (None, "main", repo.commit):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            then(repo)

    def _search(self, kind: str) -> None:
        term = parse_qs(urlsplit(self.path).query).get("search", [""])[0]
        found = [name for held, name in self.hub.repos if held == kind and term in name]
        self._send_json([{"id": name, "_id": name} for name in found])

    def _info(self, name: str, repo: FakeRepo) -> None:
        self._send_json(
            {"id": name, "_id": name, "sha": repo.commit, "siblings": repo.entries(), "tags": []}
        )

    def _file(self, name: str, repo: FakeRepo) -> None:
        if repo.refuse_files is not None:
            status, code = repo.refuse_files
            self._send(status, b"{}", {"X-Error-Code": code})
            return
        content = repo.files[name]
        etag = hashlib.sha1(content).hexdigest()
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": repo.commit})

    def _send_json(self, value) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.hub = hub
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, reached directly even where a proxy or offline mode is set."""
    import huggingface_hub
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    with running_hub() as running:
        yield running
    huggingface_hub.close_session()
