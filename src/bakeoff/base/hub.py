"""The Hugging Face hub, a mirror of it, or ModelScope: listing and downloading.

Files are downloaded into a plain folder (no links into a cache), where they are found again, whole,
by their size; an interrupted download goes on within the file. A listing is kept beside them, so
that a hub that is out of reach later is not needed for what is already here.
"""

import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bakeoff.base import modelscope
from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, require_free_bytes, write_json_atomic
from bakeoff.base.hub_access import (
    DEFAULT_ENDPOINT,
    MIRROR,
    MODELSCOPE,
    HubAccess,
    HubAddress,
    HubError,
    HubUnreachableError,
    first_that_works,
)
from bakeoff.base.hub_errors import RepoKind, translated_errors
from bakeoff.base.network import INCOMPLETE, RemoteFile, WrongContentError, ask, download

__all__ = [
    "DEFAULT_ENDPOINT",
    "MIRROR",
    "MODELSCOPE",
    "HubAccess",
    "HubAddress",
    "HubError",
    "HubUnreachableError",
    "Repo",
    "RepoFile",
    "RepoKind",
    "Report",
    "download_files",
    "first_that_works",
    "folder_name",
    "list_repo",
]

Report = Callable[[int, int, str], None]
"""Called with what is done, the total (0: not known) and what is going on."""


def say_nothing(done: int, total: int, text: str) -> None:
    """The :data:`Report` of a caller who wants none."""


_COMMIT = re.compile(r"[0-9a-f]{40}")
_LISTING_TIMEOUT_SECONDS = 20.0
_NUM_CONNECTIONS = 4
_REPORT_SECONDS = 0.2


@dataclass(frozen=True)
class RepoFile:
    size: int
    """In bytes."""

    sha256: str | None
    """The Hugging Face hub states it for large files only."""


@dataclass(frozen=True)
class Repo:
    """A repository at one commit."""

    kind: RepoKind
    name: str
    commit: str
    files: dict[str, RepoFile]
    place: HubAddress
    """Where it was found; the files are fetched from there."""

    revision: str | None = None
    """As it was asked for."""


def list_repo(
    name: str,
    *,
    kind: RepoKind,
    revision: str | None,
    access: HubAccess,
    cache_dir: Path,
    place: HubAddress | None = None,
) -> Repo:
    """The files of a repository; of a commit seen before without asking anybody.

    The places are asked in order until one has it. When none can be reached, the listing seen last
    for this revision serves.

    Args:
        name: As it is known on the hub.
        kind: Model or dataset.
        revision: Commit, tag or branch; None: the main branch.
        access: How to reach the hubs.
        cache_dir: Listings are kept below it.
        place: Ask only this one.

    Raises:
        UserError: Unknown, forbidden, or neither reachable nor seen before.
    """
    places = [place] if place is not None else access.places()
    known = _first_known(cache_dir, kind, name, revision, places)
    pinned = revision is not None and _COMMIT.fullmatch(revision) is not None
    if known is not None and (pinned or access.offline):
        return known
    if access.offline:
        raise _not_here(kind, name)

    def attempt(at: HubAddress) -> Repo:
        with translated_errors(kind, name, revision=revision, place=at):
            return _ask_for_listing(name, kind=kind, revision=revision, access=access, place=at)

    try:
        repo = first_that_works(access, f"the {kind} {name}", attempt, places=places)
    except HubUnreachableError:
        if known is None:
            raise
        return known
    for asked in (revision, repo.commit):
        _save_listing(_listing_path(cache_dir, kind, name, asked, repo.place), repo)
    return repo


def download_files(
    repo: Repo,
    names: Iterable[str],
    folder: Path,
    *,
    access: HubAccess,
    report: Report | None = None,
) -> None:
    """Bring ``names`` of ``repo`` into ``folder``, each whole; what is there already stays.

    Raises:
        HubError: The place that has the repository does not give a file.
        UserError: No room on the disk.
    """
    missing = [name for name in names if not _is_whole(folder / name, repo.files[name])]
    if not missing:
        return
    if access.offline:
        raise _not_here(repo.kind, repo.name)
    num_bytes = sum(repo.files[name].size for name in missing)
    here = sum(_bytes_of_part(folder / name, repo.files[name]) for name in missing)
    require_free_bytes(folder, num_bytes - here, f"downloading {repo.name}")
    progress = _Progress()
    with ThreadPoolExecutor(_NUM_CONNECTIONS) as threads:
        running = [
            threads.submit(_download_one, repo, name, folder, access=access, progress=progress)
            for name in missing
        ]
        try:
            while not _all_done(running):
                if report is not None:
                    report(progress.num_bytes, num_bytes, f"downloading {repo.name}")
        except BaseException:
            progress.stopped.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    if report is not None:
        report(num_bytes, num_bytes, f"downloading {repo.name}")


def _all_done(running: list[Future[None]]) -> bool:
    """After a moment at most, so that the caller can tell how far it is, and Ctrl-C is heard.

    Raises:
        Exception: What the first file that failed raised.
    """
    done, left = wait(running, timeout=_REPORT_SECONDS, return_when=FIRST_EXCEPTION)
    for each in done:
        each.result()
    return not left


class _StoppedError(Exception):
    """Another file failed, or a person pressed Ctrl-C."""


class _Progress:
    """Adds up the bytes of files that arrive at the same time."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def add(self, num_bytes: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        with self._lock:
            self.num_bytes += num_bytes


def _download_one(
    repo: Repo, name: str, folder: Path, *, access: HubAccess, progress: _Progress
) -> None:
    # A torn file under its own name would be taken for whole by whoever looks for it.
    (folder / name).unlink(missing_ok=True)
    file = repo.files[name]
    remote = RemoteFile(_file_url(repo, name), file.size, file.sha256, _headers(repo.place))
    try:
        with translated_errors(repo.kind, repo.name, revision=repo.revision, place=repo.place):
            download(
                remote,
                folder / name,
                patience=access.patience,
                on_bytes=progress.add,
                stopped=progress.stopped,
            )
    except WrongContentError as error:
        raise HubError(
            f"{name} of {repo.name} arrived with other content than the hub states ({error})",
            hint="run the same command again; if it persists, use another mirror",
            reason=f"sends other content of {name} than it states ({error})",
        ) from error


def _file_url(repo: Repo, name: str) -> str:
    if repo.place.name == "modelscope":
        return modelscope.file_url(
            repo.name, name, kind=repo.kind, revision=repo.revision, place=repo.place
        )
    above = "datasets/" if repo.kind == "dataset" else ""
    return f"{repo.place.endpoint}/{above}{repo.name}/resolve/{repo.commit}/{quote(name)}"


def _headers(place: HubAddress) -> dict[str, str]:
    if place.name == "modelscope":
        return modelscope.headers(place)
    from huggingface_hub import utils  # noqa: PLC0415 - slow to import

    headers: dict[str, str] = utils.build_hf_headers(token=place.token)  # type: ignore[attr-defined]
    return headers


def _ask_for_listing(
    name: str, *, kind: RepoKind, revision: str | None, access: HubAccess, place: HubAddress
) -> Repo:
    if place.name == "modelscope":
        commit, found = modelscope.list_modelscope(
            name, kind=kind, revision=revision, place=place, patience=access.patience
        )
        files = {path: RepoFile(size, sha256) for path, (size, sha256) in found.items()}
        return Repo(kind, name, commit, _inside(files), place, revision)
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import

    api = HfApi(endpoint=place.endpoint, token=place.token)
    info: Any = ask(
        lambda: api.repo_info(
            name,
            repo_type=kind,
            revision=revision,
            files_metadata=True,
            timeout=min(_LISTING_TIMEOUT_SECONDS, access.patience.silence_seconds),
        ),
        access.patience,
    )
    files = {
        file.rfilename: RepoFile(file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
    }
    return Repo(kind, name, info.sha, _inside(files), place, revision)


def _inside(files: dict[str, RepoFile]) -> dict[str, RepoFile]:
    """Without names that a server could use to write outside of the folder."""
    return {
        name: file
        for name, file in files.items()
        if not re.search(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|:", name)
    }


def _listing_path(
    cache_dir: Path, kind: RepoKind, name: str, revision: str | None, place: HubAddress
) -> Path:
    # The hub and its mirrors have the same commits; ModelScope has its own.
    suffix = "--modelscope" if place.name == "modelscope" else ""
    file = f"{folder_name(revision or '')}{suffix}.json"
    return cache_dir / "hub" / f"{kind}s" / folder_name(name) / file


def folder_name(name: str) -> str:
    """A hub's id or revision as one part of a path."""
    return re.sub(r"[^\w.-]", "--", name) or "default"


def _save_listing(path: Path, repo: Repo) -> None:
    files = {name: [file.size, file.sha256] for name, file in repo.files.items()}
    write_json_atomic(
        path, {"kind": repo.kind, "name": repo.name, "commit": repo.commit, "files": files}
    )


def _first_known(
    cache_dir: Path, kind: RepoKind, name: str, revision: str | None, places: list[HubAddress]
) -> Repo | None:
    """The listing kept of the first place that was ever asked for it."""
    for place in places:
        path = _listing_path(cache_dir, kind, name, revision, place)
        if path.exists():
            raw = read_json(path)
            files = {file: RepoFile(size, sha256) for file, (size, sha256) in raw["files"].items()}
            return Repo(raw["kind"], raw["name"], raw["commit"], files, place, revision)
    return None


def _is_whole(path: Path, file: RepoFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _bytes_of_part(path: Path, file: RepoFile) -> int:
    part = path.with_name(path.name + INCOMPLETE)
    return min(part.stat().st_size, file.size) if part.is_file() else 0


def _not_here(kind: RepoKind, name: str) -> UserError:
    return UserError(
        f"the {kind} {name} is not on disk, and the hub is switched off",
        hint="run once without HF_HUB_OFFLINE, or name a local folder as `source`",
    )
