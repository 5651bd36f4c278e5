"""A server on this machine that speaks as much of the Hugging Face hub's protocol as we use."""

import hashlib
import json
import re
import threading
import time
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
_SCOPE_LIST = re.compile(rf"/api/v1/(?P<kind>dataset|model)s/{_REPO}/repo/(files|tree)")
_SCOPE_FILE = re.compile(rf"/api/v1/(?P<kind>dataset|model)s/{_REPO}/repo")
_FILE = re.compile(rf"/((?P<kind>dataset)s/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class FakeRepo:
    files: dict[str, bytes]
    commit: str = "c0ffee" + 34 * "0"
    refuse_files: tuple[int, str] | None = None
    """Status and `X-Error-Code` for every file."""

    stated_sha256: dict[str, str] = field(default_factory=dict)
    """By file; the hub states checksums for large files only."""

    sent: dict[str, bytes] = field(default_factory=dict)
    """By file; what is really sent where that is not what the listing speaks of."""

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

    def scope_entries(self) -> list[dict]:
        return [
            {
                "Type": "blob",
                "Name": name.rpartition("/")[2],
                "Path": name,
                "Size": len(content),
                "Sha256": self.stated_sha256.get(name, hashlib.sha256(content).hexdigest()),
                "Revision": self.commit,
                "IsLFS": False,
            }
            for name, content in self.files.items()
        ]

    def _lfs(self, name: str, content: bytes) -> dict:
        if name not in self.stated_sha256:
            return {}
        digest = self.stated_sha256[name]
        facts = {"size": len(content), "sha256": digest, "oid": digest, "pointerSize": 134}
        return {"lfs": facts}


@dataclass
class Failure:
    """What goes wrong with one request for a file."""

    status: int | None = None
    retry_after: str | None = None
    drop_after: int | None = None
    """Close the connection after so many bytes of the body."""

    silent_seconds: float = 0.0
    """Say nothing for so long after the first byte of the body."""


class FakeHub:
    """Repositories by kind and id, and what was asked of them."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], FakeRepo] = {}
        self.status: int | None = None
        """Answer everything with this instead."""

        self.failures: list[Failure] = []
        """Used up one by one by the requests for files."""

        self.by_file: dict[str, Failure] = {}
        """What goes wrong with every request for a file."""

        self.ignores_ranges = False
        self.pauses: list[float] = []
        """Seconds for which the client would have waited before asking again."""

        self.requests: list[str] = []
        self.ranges: list[str] = []
        """Byte ranges asked for, as the client wrote them."""

        self.tokens: set[str] = set()
        """Authorization headers and cookies that came along."""

        self.endpoint = ""

    def add(self, kind: str, name: str, files: dict[str, bytes], **facts) -> FakeRepo:
        self.repos[kind, name] = FakeRepo(files, **facts)
        return self.repos[kind, name]

    def downloaded(self) -> list[str]:
        """Names of the files whose content was asked for on the Hugging Face way."""
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
        for name in ("Authorization", "Cookie"):
            if self.headers[name]:
                self.hub.tokens.add(self.headers[name])
        if self.hub.status is not None:
            self._send(self.hub.status, b"{}")
            return
        for pattern, method in self._ROUTES:
            if match := pattern.fullmatch(path):
                method(self, match)
                return
        self._send(404, b"{}")

    def _tree(self, match: re.Match) -> None:
        self._with_repo(match, lambda repo: self._send_json(repo.entries()))

    def _scope_list(self, match: re.Match) -> None:
        """As ModelScope answers, whose listings state a checksum for every file."""
        query = parse_qs(urlsplit(self.path).query)
        repo = self.hub.repos.get((match["kind"], match["id"]))
        if repo is None or query["Revision"][0] not in ("master", repo.commit):
            self._send(404, b'{"Code": 10010205001, "Success": false, "Data": null}')
            return
        page, size = int(query.get("PageNumber", ["1"])[0]), int(query.get("PageSize", ["9999"])[0])
        listed = repo.scope_entries()[(page - 1) * size : page * size]
        data = {"Files": listed, "LatestCommitter": {"Id": "", "ShortId": repo.commit[:8]}}
        self._send_json({"Code": 200, "Success": True, "Message": "success", "Data": data})

    def _scope_file(self, match: re.Match) -> None:
        name = parse_qs(urlsplit(self.path).query)["FilePath"][0]
        self._body(self.hub.repos[match["kind"], match["id"]], name)

    def _with_repo(self, match: re.Match, then) -> None:
        repo = self.hub.repos.get((match["kind"] or "model", match["id"]))
        if repo is None:
            # To somebody who is not logged in the hub does not tell "private" from "unknown".
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif match["revision"] not in (None, "main", repo.commit):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            then(repo)

    def _search(self, match: re.Match) -> None:
        kind = match["kind"]
        term = parse_qs(urlsplit(self.path).query).get("search", [""])[0]
        found = [name for held, name in self.hub.repos if held == kind and term in name]
        self._send_json([{"id": name, "_id": name} for name in found])

    def _info(self, match: re.Match) -> None:
        name = match["id"]
        self._with_repo(
            match,
            lambda repo: self._send_json(
                {
                    "id": name,
                    "_id": name,
                    "sha": repo.commit,
                    "siblings": repo.entries(),
                    "tags": [],
                }
            ),
        )

    def _file(self, match: re.Match) -> None:
        self._with_repo(match, lambda repo: self._body(repo, match["file"]))

    def _body(self, repo: FakeRepo, name: str) -> None:
        if repo.refuse_files is not None:
            status, code = repo.refuse_files
            self._send(status, b"{}", {"X-Error-Code": code})
            return
        failure = self.hub.by_file.get(name)
        if failure is None:
            failure = self.hub.failures.pop(0) if self.hub.failures else Failure()
        if failure.status is not None:
            wait = {"Retry-After": failure.retry_after} if failure.retry_after else {}
            self._send(failure.status, b"{}", wait)
            return
        content = repo.sent.get(name, repo.files[name])
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": repo.commit}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked is None or self.hub.ignores_ranges:
            self._send(200, content, headers, failure)
            return
        self.hub.ranges.append(asked.string)
        start, size = int(asked[1]), len(content)
        if start >= size:
            self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._send(206, content[start:], headers, failure)

    def _send_json(self, value) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        failure: Failure | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "GET":
            return
        if failure is not None and failure.silent_seconds:
            self.wfile.write(body[:1])
            self.wfile.flush()
            time.sleep(failure.silent_seconds)
            self.close_connection = True
        elif failure is not None and failure.drop_after is not None:
            self.wfile.write(body[: failure.drop_after])
            self.close_connection = True
        else:
            self.wfile.write(body)

    _ROUTES = (
        (_SEARCH, _search),
        (_TREE, _tree),
        (_INFO, _info),
        (_SCOPE_LIST, _scope_list),
        (_SCOPE_FILE, _scope_file),
        (_FILE, _file),
    )


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

    from bakeoff.base import network

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    with running_hub() as running:
        # Waiting is noted, not done; a second hub's client would wait in the same place.
        monkeypatch.setattr(network, "sleep", lambda s, stopped=None: running.pauses.append(s))
        yield running
    huggingface_hub.close_session()
