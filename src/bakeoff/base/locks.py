"""Locks between processes: the system frees them when their owner ends, however it ends."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_SECONDS = 0.5


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path``; ``on_wait`` is called once if somebody else holds it now."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire(poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file at this moment."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - slow to import

    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
