"""HTTP that does not give up at once: asked again with growing pauses, resumed where it broke off.

The transport is that of the hub's client, so that proxies and certificates are set up as everywhere
else. Downloading is done here rather than by the client, which throws away what a broken connection
had brought (huggingface_hub 2.4, ``file_download._download_to_tmp_and_move``).
"""

import email.utils
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

INCOMPLETE = ".incomplete"
"""Ending of a file that is still being downloaded."""

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server."""

    num_tries: int = 5
    """In a row without a single byte of progress."""

    first_pause_seconds: float = 1.0
    """Doubled with each failure; a server that says how long to wait is obeyed instead."""

    longest_pause_seconds: float = 120.0
    """A server that asks for more is given up at once."""

    connect_seconds: float = 10.0
    silence_seconds: float = 30.0
    """Without a byte for so long, the connection counts as broken."""

    @property
    def timeouts(self) -> tuple[float, float, float, float]:
        """Connect, read, write and wait for a free connection."""
        silence = self.silence_seconds
        return (self.connect_seconds, silence, silence, silence)


@dataclass(frozen=True)
class RemoteFile:
    url: str
    size: int
    """In bytes."""

    sha256: str | None = None
    """None: the server does not state it."""

    headers: Mapping[str, str] = field(default_factory=dict)


class WrongContentError(Exception):
    """The file came whole, but with other content than the server states."""

    def __init__(self, digest: str, expected: str) -> None:
        super().__init__(f"SHA-256 {digest[:12]}..., expected {expected[:12]}...")


class BrokenOffError(Exception):
    """The connection ended early, or the server sent another part than it was asked for."""


def sleep(seconds: float, stopped: threading.Event | None = None) -> None:
    """In one place, so that tests need not wait; ends early when somebody presses Ctrl-C."""
    if stopped is None:
        time.sleep(seconds)
    else:
        stopped.wait(seconds)


def ask(call: Callable[[], T], patience: Patience) -> T:
    """What ``call`` gives; called again when the server is busy or breaks off.

    A server that cannot be reached at all is not asked twice: the next one may answer sooner.
    """
    for number in range(1, patience.num_tries + 1):
        try:
            return call()
        except transport_errors() as error:
            pause = pause_after(error, number, patience)
            if pause is None or number == patience.num_tries or _is_out_of_reach(error):
                raise
        sleep(pause)
    raise AssertionError("patience without a single try")


def download(
    remote: RemoteFile,
    target: Path,
    *,
    patience: Patience,
    on_bytes: Callable[[int], None],
    stopped: threading.Event | None = None,
) -> None:
    """Bring a file to ``target``, whole and checked; a part left by an earlier attempt is used.

    Args:
        remote: What to fetch.
        target: Appears only when it is whole; until then ``target.incomplete`` grows.
        patience: When to give up.
        on_bytes: Called with the change in bytes held; negative when a part was of no use. What
            it raises ends the download.
        stopped: Set by another thread, it ends the waiting between two tries.

    Raises:
        WrongContentError: The checksum differs; the part is removed.
        BrokenOffError: The connection broke again and again; the part is kept.
        Exception: What the transport raised last (see :func:`transport_errors`).
    """
    part = target.with_name(target.name + INCOMPLETE)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    if part.stat().st_size > remote.size:
        part.write_bytes(b"")
    on_bytes(part.stat().st_size)
    broken: tuple[type[Exception], ...] = (*transport_errors(), BrokenOffError)
    failures = 0
    while (before := part.stat().st_size) < remote.size:
        try:
            _append(remote, part, patience, on_bytes)
        except broken as error:
            failures = 1 if part.stat().st_size > before else failures + 1
            pause = pause_after(error, failures, patience)
            if pause is None or failures >= patience.num_tries:
                if status_of(error) is not None or _is_out_of_reach(error):
                    raise
                raise BrokenOffError(str(error)) from error
            sleep(pause, stopped)
            on_bytes(0)
    _check(remote, part)
    part.replace(target)


def transport_errors() -> tuple[type[Exception], ...]:
    """What the transport raises; which library that is depends on the version of the client."""
    from huggingface_hub import errors  # noqa: PLC0415 - slow to import

    transport_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return (transport_error, ConnectionError, TimeoutError)


def client() -> Any:
    """The HTTP client (httpx) that the hub's library uses, with its proxies and certificates."""
    from huggingface_hub import get_session  # noqa: PLC0415 - slow to import

    return get_session()


def status_of(error: BaseException) -> int | None:
    """Of the answer that ``error`` is about; None when there was none."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def raise_for_status(response: Any) -> None:
    """Raise what the hub's client raises for an answer that is no success."""
    if response.status_code >= 400:
        from huggingface_hub import hf_raise_for_status  # noqa: PLC0415 - slow to import

        response.read()
        hf_raise_for_status(response)


def pause_after(error: BaseException, num_failures: int, patience: Patience) -> float | None:
    """Seconds to wait before the next try; None when trying again is of no use."""
    status = status_of(error)
    if status is not None and status not in _BUSY:
        return None
    asked = _retry_after(error)
    if asked is not None:
        return asked if asked <= patience.longest_pause_seconds else None
    pause = patience.first_pause_seconds * 2.0 ** (num_failures - 1)
    # Several files fail together: without some chance they would all come back together.
    return min(pause, patience.longest_pause_seconds) * random.uniform(0.75, 1.0)  # noqa: S311


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3)."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    text = str(headers.get("Retry-After", "")).strip()
    if text.isdigit():
        return float(text)
    date = email.utils.parsedate_tz(text) if text else None
    if date is None:
        return None
    # The standard library's stub leaves the type open.
    return max(0.0, float(email.utils.mktime_tz(date)) - time.time())


def _is_out_of_reach(error: BaseException) -> bool:
    return type(error).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError")


def _append(
    remote: RemoteFile, part: Path, patience: Patience, on_bytes: Callable[[int], None]
) -> None:
    """Add what is missing of ``part``, or as much as comes before the connection breaks."""
    have = part.stat().st_size
    # Compressed on the way, byte positions would not be those of the file.
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client().stream("GET", remote.url, headers=headers, timeout=patience.timeouts) as response:
        if response.status_code == 416:
            _start_over(part, on_bytes)
            raise BrokenOffError(f"the server does not have byte {have} of the file")
        raise_for_status(response)
        if have and response.status_code != 206:
            _start_over(part, on_bytes)
        elif have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise BrokenOffError("the server sent another part of the file than it was asked for")
        with part.open("ab") as file:
            for block in _blocks(response, remote.size - file.tell()):
                file.write(block)
                on_bytes(len(block))
    if part.stat().st_size < remote.size:
        raise BrokenOffError(f"{part.stat().st_size} of {remote.size} bytes arrived")


def _blocks(response: Any, wanted: int) -> Iterator[bytes]:
    """Blocks as they arrive; what goes beyond the stated size cannot belong to the file.

    Gathered into larger blocks, the last one would be lost when the connection breaks.
    """
    for block in response.iter_raw():
        if len(block) > wanted:
            raise BrokenOffError("the server sent more bytes than it states")
        wanted -= len(block)
        yield block


def _start_over(part: Path, on_bytes: Callable[[int], None]) -> None:
    on_bytes(-part.stat().st_size)
    part.write_bytes(b"")


def _check(remote: RemoteFile, part: Path) -> None:
    if remote.sha256 is None:
        return
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != remote.sha256.lower():
        part.unlink()
        raise WrongContentError(digest, remote.sha256)
