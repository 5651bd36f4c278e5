"""ModelScope's interface: the files of a repository with their checksums, and where they lie.

As its own client asks (``modelscope/hub/api.py``, ``get_model_files``): one listing for a model,
pages for a dataset, the access token as a cookie. The main branch is called ``master`` there.
"""

import itertools
from typing import Any
from urllib.parse import quote, urlencode

from bakeoff.base.hub_access import HubAddress, HubError
from bakeoff.base.hub_errors import RepoKind, unknown_repo, unknown_revision
from bakeoff.base.network import (
    Patience,
    ask,
    client,
    raise_for_status,
    status_of,
    transport_errors,
)

_MAIN_BRANCH = "master"
_PAGE_SIZE = 200

Entry = dict[str, Any]


def list_modelscope(
    name: str, *, kind: RepoKind, revision: str | None, place: HubAddress, patience: Patience
) -> tuple[str, dict[str, tuple[int, str | None]]]:
    """The commit, and by name the size and SHA-256 of each file.

    Raises:
        HubError: ModelScope does not have it.
    """
    entries: list[Entry] = []
    data: Entry = {}
    for page in itertools.count(1):
        url = _listing_url(name, kind, revision, place, page)
        data = _ask(name, url, kind=kind, revision=revision, place=place, patience=patience)
        found = data.get("Files") or []
        entries += [entry for entry in found if entry.get("Type") != "tree"]
        if kind == "model" or len(found) < _PAGE_SIZE:
            break
    files = {str(e["Path"]): (int(e.get("Size") or 0), e.get("Sha256") or None) for e in entries}
    return _commit(data, entries), files


def file_url(
    name: str, file: str, *, kind: RepoKind, revision: str | None, place: HubAddress
) -> str:
    """Asked by branch, as the listing was: the checksum tells when it has moved on since."""
    query = urlencode({"Revision": _branch(revision), "FilePath": file})
    return f"{_address(name, kind, place)}/repo?{query}"


def headers(place: HubAddress) -> dict[str, str]:
    return {"Cookie": f"m_session_id={place.token}"} if place.token else {}


def _address(name: str, kind: RepoKind, place: HubAddress) -> str:
    return f"{place.endpoint}/api/v1/{kind}s/{quote(name)}"


def _branch(revision: str | None) -> str:
    return _MAIN_BRANCH if revision in (None, "main") else str(revision)


def _listing_url(
    name: str, kind: RepoKind, revision: str | None, place: HubAddress, page: int
) -> str:
    query = {"Revision": _branch(revision), "Recursive": "True"}
    if kind == "dataset":
        query |= {"PageNumber": str(page), "PageSize": str(_PAGE_SIZE)}
    folder = "files" if kind == "model" else "tree"
    return f"{_address(name, kind, place)}/repo/{folder}?{urlencode(query)}"


def _ask(
    name: str,
    url: str,
    *,
    kind: RepoKind,
    revision: str | None,
    place: HubAddress,
    patience: Patience,
) -> Entry:
    def call() -> Any:
        response = client().get(url, headers=headers(place), timeout=patience.timeouts)
        raise_for_status(response)
        return response

    try:
        answer = ask(call, patience).json()
    except transport_errors() as error:
        if status_of(error) == 404:
            raise _missing(kind, name, revision, place) from error
        raise
    except ValueError as error:
        raise HubError(
            f"{place.endpoint} did not answer as ModelScope does when asked for {name}",
            hint="check `hub.modelscope_endpoint`",
            reason="did not answer as ModelScope does",
        ) from error
    if not answer.get("Success", False) or not isinstance(answer.get("Data"), dict):
        raise _missing(kind, name, revision, place)
    data: Entry = answer["Data"]
    return data


def _missing(kind: RepoKind, name: str, revision: str | None, place: HubAddress) -> HubError:
    if revision in (None, "main", _MAIN_BRANCH):
        return unknown_repo(kind, name, place)
    return unknown_revision(kind, name, revision, place)


def _commit(data: Entry, entries: list[Entry]) -> str:
    """The newest commit; only its first digits are stated, the rest is that of a file's own."""
    latest = data.get("LatestCommitter") or {}
    short = str(latest.get("Id") or latest.get("ShortId") or "")
    commits = sorted({str(entry["Revision"]) for entry in entries if entry.get("Revision")})
    if not short:
        return commits[0] if len(commits) == 1 else "unknown"
    return next((commit for commit in commits if commit.startswith(short)), short)
