"""What a repository on a hub holds: asked for once, and kept beside the downloads.

With a listing kept, a hub that is out of reach later is not needed for what is already here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base import modelscope
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.base.hub_access import (
    HubAccess,
    HubAddress,
    HubError,
    HubUnreachableError,
    first_that_works,
)
from bakeoff.base.hub_errors import RepoKind, translated_errors
from bakeoff.base.network import ask

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LISTING_TIMEOUT_SECONDS = 20.0


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
        raise not_here(kind, name)

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


def not_here(kind: RepoKind, name: str) -> HubError:
    """The error for what would have to be downloaded although that is switched off."""
    return HubError(
        f"the {kind} {name} is not on disk, and the hub is switched off",
        hint="run once without HF_HUB_OFFLINE, or name a local folder as `source`",
        reason="not on disk, and the hub is switched off",
    )


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
