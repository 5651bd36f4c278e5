"""What the hub's client and the transport raise, in words that say what to do."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

from bakeoff.base.errors import UserError
from bakeoff.base.hub_access import MIRROR, HubAddress, HubError, HubUnreachableError
from bakeoff.base.network import BrokenOffError, status_of, transport_errors

RepoKind = Literal["dataset", "model"]


@contextlib.contextmanager
def translated_errors(
    kind: RepoKind, name: str, *, revision: str | None, place: HubAddress
) -> Iterator[None]:
    """Whatever the client or the transport raises inside becomes a :class:`UserError`."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    known: tuple[type[Exception], ...] = (
        *transport_errors(),
        errors.HFValidationError,
        BrokenOffError,
        OSError,
    )
    try:
        yield
    except known as error:
        raise translate_hub_error(
            error, kind=kind, name=name, revision=revision, place=place
        ) from error


def translate_hub_error(
    error: Exception, *, kind: RepoKind, name: str, revision: str | None, place: HubAddress
) -> UserError:
    """What went wrong, in words, and what to do about it."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    if isinstance(error, errors.GatedRepoError):
        return _gated(kind, name, place)
    status = status_of(error)
    # A mirror may say 404 without the hub's own code for what is unknown.
    unknown = status == 404 and type(error) is errors.HfHubHTTPError
    if unknown or isinstance(error, errors.HFValidationError | errors.RepositoryNotFoundError):
        return unknown_repo(kind, name, place)
    if isinstance(error, errors.RevisionNotFoundError):
        return unknown_revision(kind, name, revision, place)
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return translate_hub_error(
            error.__cause__, kind=kind, name=name, revision=revision, place=place
        )
    if status is not None:
        return _refused(status, name, place)
    return _no_answer(error, kind=kind, name=name, place=place)


def unknown_revision(
    kind: RepoKind, name: str, revision: str | None, place: HubAddress
) -> HubError:
    return HubError(
        f"the {kind} {name} has no revision `{revision}`",
        hint=f"`{'data' if kind == 'dataset' else 'model'}.revision` takes a commit, tag or branch "
        f"listed on {page_of(kind, name, place)}",
        reason=f"has no revision `{revision}` of it",
    )


def unknown_repo(kind: RepoKind, name: str, place: HubAddress) -> HubError:
    near = _search(kind, name, place)
    guess = f"did you mean {' or '.join(f'`{other}`' for other in near)}? " if near else ""
    return HubError(
        f"{place.endpoint} knows no {kind} `{name}`, and no file or folder has that name",
        hint=f"{guess}A private one needs {_login(place)} first",
        reason=f"knows no {kind} of that name",
        telling=3 if near else 2,
    )


def page_of(kind: RepoKind, name: str, place: HubAddress) -> str:
    """Where a person reads about it."""
    if place.name == "modelscope":
        return f"{place.endpoint}/{kind}s/{name}"
    return f"{place.endpoint}/{'datasets/' if kind == 'dataset' else ''}{name}"


def _login(place: HubAddress) -> str:
    if place.name == "modelscope":
        return "MODELSCOPE_API_TOKEN"
    return "`hf auth login` or HF_TOKEN"


def _gated(kind: RepoKind, name: str, place: HubAddress) -> HubError:
    page = page_of(kind, name, place)
    return HubError(
        f"the {kind} {name} is gated: its owner lets in only who asked for access",
        hint=f"ask for access on {page}, then log in with `hf auth login` or set HF_TOKEN",
        reason="has it, but only for those who asked its owner for access",
        telling=4,
    )


def _refused(status: int, name: str, place: HubAddress) -> HubError:
    """The server answered with an error of its own."""
    if status in (401, 403):
        given = "refused the access token" if place.token else "asked for an access token"
        how = (
            "set MODELSCOPE_API_TOKEN to the token of your ModelScope account"
            if place.name == "modelscope"
            else "log in with `hf auth login` or set HF_TOKEN to a token with read access"
        )
        return HubError(
            f"{place.endpoint} {given} when asked for {name} (HTTP {status})",
            hint=how,
            reason=f"{given} (HTTP {status})",
        )
    if status == 429:
        return HubError(
            f"{place.endpoint} answers that there were too many requests (HTTP 429)",
            hint="wait some minutes and run again; with HF_TOKEN set more requests are allowed",
            reason="too many requests (HTTP 429)",
        )
    return HubError(
        f"{place.endpoint} answered HTTP {status} when asked for {name}",
        hint="the hub itself is in trouble: run again later, " + _other_ways(place),
        reason=f"answered HTTP {status}",
    )


def _no_answer(error: Exception, *, kind: RepoKind, name: str, place: HubAddress) -> UserError:
    if isinstance(error, BrokenOffError):
        return HubError(
            f"downloading {name} from {place.endpoint} broke off again and again: {error}",
            hint="run the same command again; what did arrive is kept",
            reason=f"the connection breaks off again and again ({error})",
        )
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return UserError(
            f"downloading {name} broke off: {error}",
            hint="run the same command again; what did arrive is kept",
        )
    why = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
    return HubUnreachableError(
        f"{place.endpoint} cannot be reached ({why}), "
        f"so the {kind} {name} cannot be downloaded, and no file or folder has that name",
        hint=f"check the network (a proxy is set with HTTPS_PROXY), {_other_ways(place)}",
        reason=f"cannot be reached ({why})",
        telling=0,
    )


def _other_ways(place: HubAddress) -> str:
    mirror = "" if place.endpoint == MIRROR else f"use a mirror (HF_ENDPOINT={MIRROR}), "
    return f"{mirror}or download it elsewhere (ModelScope has most) and name the folder as `source`"


def _search(kind: RepoKind, name: str, place: HubAddress) -> list[str]:
    """Names that the hub finds for the last part of ``name``; none when it does not answer."""
    if place.name == "modelscope":
        return []
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import

    api = HfApi(endpoint=place.endpoint, token=place.token)
    find: Any = api.list_models if kind == "model" else api.list_datasets
    known: tuple[type[Exception], ...] = (*transport_errors(), OSError)
    try:
        return [found.id for found in find(search=name.rpartition("/")[2], limit=2)]
    except known:
        return []
