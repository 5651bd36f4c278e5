"""The Hugging Face hub, or a mirror of it: listing, downloading, and errors that say what to do.

Files are downloaded into a plain folder (no links into a cache), where they are found again, whole,
by their size; an interrupted download keeps what it has. A listing is kept beside them, so that a
hub that is out of reach later is not needed for what is already here.
"""

import contextlib
import glob
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, require_free_bytes, write_json_atomic

RepoKind = Literal["dataset", "model"]
Report = Callable[[int, int, str], None]
"""Called with what is done, the total (0: not known) and what is going on."""

MIRROR = "https://hf-mirror.com"
DEFAULT_ENDPOINT = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LISTING_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class HubAccess:
    """How to reach the hub."""

    endpoint: str | None = None
    """Address of the hub or of a mirror; None: the Hugging Face hub."""

    token: str | None = None
    """Access token; None: the one that `hf auth login` stored, if any."""

    offline: bool = False
    """Use only what is already on disk."""


@dataclass(frozen=True)
class RepoFile:
    size: int
    """In bytes."""

    sha256: str | None
    """Known for large files only; the hub does not state it for small ones."""


@dataclass(frozen=True)
class Repo:
    """A repository at one commit."""

    kind: RepoKind
    name: str
    commit: str
    files: dict[str, RepoFile]


def list_repo(
    name: str, *, kind: RepoKind, revision: str | None, access: HubAccess, cache_dir: Path
) -> Repo:
    """The files of a repository; of a commit seen before without asking the hub.

    When the hub cannot be reached, the listing seen last for this revision serves.

    Raises:
        UserError: Unknown, forbidden, or neither reachable nor seen before.
    """
    remembered = _listing_path(cache_dir, kind, name, revision)
    known = _load_listing(remembered)
    pinned = revision is not None and _COMMIT.fullmatch(revision) is not None
    if known is not None and (pinned or access.offline):
        return known
    if access.offline:
        raise _not_here(kind, name)
    try:
        with translated_errors(kind, name, revision=revision, access=access):
            repo = _ask_for_listing(name, kind=kind, revision=revision, access=access)
    except HubUnreachableError:
        if known is None:
            raise
        return known
    for path in (remembered, _listing_path(cache_dir, kind, name, repo.commit)):
        _save_listing(path, repo)
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
        UserError: No room, no way to the hub, or a file that came in the wrong size.
    """
    missing = [name for name in names if not _is_whole(folder / name, repo.files[name])]
    if not missing:
        return
    if access.offline:
        raise _not_here(repo.kind, repo.name)
    for name in missing:
        # The client would take a torn file for whole, going by its own notes beside it.
        (folder / name).unlink(missing_ok=True)
    num_bytes = sum(repo.files[name].size for name in missing)
    require_free_bytes(folder, num_bytes, f"downloading {repo.name}")
    with translated_errors(repo.kind, repo.name, revision=None, access=access):
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import

        snapshot_download(
            repo.name,
            repo_type=repo.kind,
            revision=repo.commit,
            local_dir=folder,
            allow_patterns=[glob.escape(name) for name in missing],
            endpoint=access.endpoint,
            token=access.token,
            tqdm_class=_bar_class(report, f"downloading {repo.name}", num_bytes),
        )
    for name in missing:
        if not _is_whole(folder / name, repo.files[name]):
            (folder / name).unlink(missing_ok=True)
            raise UserError(
                f"{name} of {repo.name} did not arrive whole: expected "
                f"{repo.files[name].size} bytes",
                hint="run the same command again; what did arrive is kept",
            )


class HubUnreachableError(UserError):
    """Nothing answers at the hub's address."""


@contextlib.contextmanager
def translated_errors(
    kind: RepoKind, name: str, *, revision: str | None, access: HubAccess
) -> Iterator[None]:
    """Whatever the hub's client raises inside becomes a :class:`UserError`."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    # The transport's own base class; which library that is depends on the client's version.
    transport_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    try:
        yield
    except (transport_error, errors.HFValidationError, OSError) as error:
        raise translate_hub_error(
            error, kind=kind, name=name, revision=revision, access=access
        ) from error


def translate_hub_error(
    error: Exception, *, kind: RepoKind, name: str, revision: str | None, access: HubAccess
) -> UserError:
    """What went wrong, in words, and what to do about it."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    page = _page(kind, name, access)
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"the {kind} {name} is gated: its owner lets in only who asked for access",
            hint=f"ask for access on {page}, then log in with `hf auth login` or set HF_TOKEN",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    # A mirror may say 404 without the hub's own code for what is unknown.
    unknown = status == 404 and type(error) is errors.HfHubHTTPError
    if unknown or isinstance(error, errors.HFValidationError | errors.RepositoryNotFoundError):
        return _unknown_repo(kind, name, access)
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(
            f"the {kind} {name} has no revision `{revision}`",
            hint=f"`{_recipe_key(kind)}.revision` takes a commit, tag or branch listed on {page}",
        )
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return translate_hub_error(
            error.__cause__, kind=kind, name=name, revision=revision, access=access
        )
    if status is not None:
        return _refused(status, name, access)
    return _no_answer(error, kind=kind, name=name, access=access)


def _refused(status: int, name: str, access: HubAccess) -> UserError:
    """The hub answered with an error of its own."""
    if status in (401, 403):
        given = "refused the access token" if access.token else "asked for an access token"
        return UserError(
            f"{_address(access)} {given} when asked for {name} (HTTP {status})",
            hint="log in with `hf auth login` or set HF_TOKEN to a token with read access",
        )
    if status == 429:
        return UserError(
            f"{_address(access)} answers that there were too many requests (HTTP 429)",
            hint="wait some minutes and run again; with HF_TOKEN set more requests are allowed",
        )
    return UserError(
        f"{_address(access)} answered HTTP {status} when asked for {name}",
        hint="the hub itself is in trouble: run again later, " + _other_ways(access),
    )


def _no_answer(error: Exception, *, kind: RepoKind, name: str, access: HubAccess) -> UserError:
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return UserError(
            f"downloading {name} broke off: {error}",
            hint="run the same command again; what did arrive is kept",
        )
    reason = str(error).strip().splitlines()
    return HubUnreachableError(
        f"{_address(access)} cannot be reached ({': '.join([type(error).__name__, *reason[:1]])}), "
        f"so the {kind} {name} cannot be downloaded, and no file or folder has that name",
        hint=f"check the network (a proxy is set with HTTPS_PROXY), {_other_ways(access)}",
    )


def _other_ways(access: HubAccess) -> str:
    mirror = "" if access.endpoint == MIRROR else f"use a mirror (HF_ENDPOINT={MIRROR}), "
    return f"{mirror}or download it elsewhere (ModelScope has most) and name the folder as `source`"


def _unknown_repo(kind: RepoKind, name: str, access: HubAccess) -> UserError:
    near = _search(kind, name, access)
    guess = f"did you mean {' or '.join(f'`{other}`' for other in near)}? " if near else ""
    return UserError(
        f"{_address(access)} knows no {kind} `{name}`, and no file or folder has that name",
        hint=f"{guess}A private one needs `hf auth login` or HF_TOKEN first",
    )


def _search(kind: RepoKind, name: str, access: HubAccess) -> list[str]:
    """Names that the hub finds for the last part of ``name``; none when it does not answer."""
    from huggingface_hub import HfApi, errors  # noqa: PLC0415 - slow to import

    api = HfApi(endpoint=access.endpoint, token=access.token)
    find: Any = api.list_models if kind == "model" else api.list_datasets
    try:
        return [found.id for found in find(search=name.rpartition("/")[2], limit=2)]
    except (errors.HTTPError, OSError):  # type: ignore[attr-defined]
        return []


def _ask_for_listing(name: str, *, kind: RepoKind, revision: str | None, access: HubAccess) -> Repo:
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import

    info: Any = HfApi(endpoint=access.endpoint, token=access.token).repo_info(
        name,
        repo_type=kind,
        revision=revision,
        files_metadata=True,
        timeout=_LISTING_TIMEOUT_SECONDS,
    )
    files = {
        file.rfilename: RepoFile(file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
    }
    return Repo(kind, name, info.sha, files)


def _listing_path(cache_dir: Path, kind: RepoKind, name: str, revision: str | None) -> Path:
    return (
        cache_dir / "hub" / f"{kind}s" / folder_name(name) / f"{folder_name(revision or '')}.json"
    )


def folder_name(name: str) -> str:
    """A hub's id or revision as one part of a path."""
    return re.sub(r"[^\w.-]", "--", name) or "default"


def _save_listing(path: Path, repo: Repo) -> None:
    files = {name: [file.size, file.sha256] for name, file in repo.files.items()}
    write_json_atomic(
        path, {"kind": repo.kind, "name": repo.name, "commit": repo.commit, "files": files}
    )


def _load_listing(path: Path) -> Repo | None:
    if not path.exists():
        return None
    raw = read_json(path)
    files = {name: RepoFile(size, sha256) for name, (size, sha256) in raw["files"].items()}
    return Repo(raw["kind"], raw["name"], raw["commit"], files)


def _is_whole(path: Path, file: RepoFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _not_here(kind: RepoKind, name: str) -> UserError:
    return UserError(
        f"the {kind} {name} is not on disk, and the hub is switched off",
        hint="run once without HF_HUB_OFFLINE, or name a local folder as `source`",
    )


def _recipe_key(kind: RepoKind) -> str:
    return "data" if kind == "dataset" else "model"


def _address(access: HubAccess) -> str:
    return access.endpoint or DEFAULT_ENDPOINT


def _page(kind: RepoKind, name: str, access: HubAccess) -> str:
    return f"{_address(access)}/{'datasets/' if kind == 'dataset' else ''}{name}"


def _bar_class(report: Report | None, what: str, num_bytes: int) -> Any:
    """A progress bar that prints nothing and hands the downloaded bytes to ``report``."""
    from tqdm import tqdm  # type: ignore[import-untyped] # noqa: PLC0415 - with the hub's client

    class ReportingBar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # The client draws several bars; of those that count bytes, only this one includes
            # the bytes that an earlier attempt brought.
            self.counts_bytes = not str(kwargs.get("desc", "")).startswith(("Downl", "Fetch"))
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            if report is not None and self.counts_bytes:
                report(min(int(self.n), num_bytes), num_bytes, what)

    return ReportingBar
