"""Child processes: the only place that starts them.

A child leads its own process group, so that stopping it stops whatever it started. Its standard
input is a pipe that nobody writes to: when this process dies, even by SIGKILL, the pipe closes and
a worker that watches it ends itself. What cannot watch (a foreign framework) is found by the next
run through the process id and start time noted beside its log, and stopped then.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

_WINDOWS = sys.platform == "win32"
_GRACE_SECONDS = 10.0


class Child:
    """A running child process; use as a context manager, so that it never outlives the block."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log_path: Path
    ) -> None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        group: dict[str, Any] = (
            {"creationflags": 0x00000200} if _WINDOWS else {"start_new_session": True}
        )
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                **group,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Exit code, or None when it still runs after so many seconds."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def close_input(self) -> None:
        """Let the child see that nobody writes to it any more."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> None:
        """Ask the group to end, wait, then kill it."""
        if self._process.poll() is None:
            stop_tree(self.pid)
        self._process.wait()
        self.close_input()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def run_attached(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> int:
    """A process that talks with the person at this terminal; its exit code."""
    return subprocess.run(list(argv), env=dict(env), cwd=cwd, check=False).returncode


_DETACHED: list[subprocess.Popen[bytes]] = []
"""Kept, so that those that have ended are collected and do not count as running."""


def start_detached(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log_path: Path
) -> int:
    """Start a process that goes on when this one ends; its id.

    It has a session of its own, so that neither Ctrl-C here nor the end of the terminal reaches it.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    group: dict[str, Any] = (
        {"creationflags": 0x00000200 | 0x00000008} if _WINDOWS else {"start_new_session": True}
    )
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **group,
        )
    _DETACHED.append(process)
    return process.pid


def collect_detached() -> None:
    """Let go of detached processes that have ended."""
    _DETACHED[:] = [process for process in _DETACHED if process.poll() is None]


def interrupt(pid: int, *, grace_seconds: float = 20.0) -> None:
    """What Ctrl-C does: the process may tidy up; with all it started it is ended if it does not."""
    try:
        process = psutil.Process(pid)
        if not _WINDOWS:
            process.send_signal(signal.SIGINT)
    except psutil.NoSuchProcess:
        return
    if _WINDOWS or _alive_after([process], grace_seconds):
        stop_tree(pid)


def wait_for_end_of_input() -> None:
    """Until nobody holds the other end of the pipe that is our standard input."""
    if sys.platform == "win32":
        # A pending read would block whatever library looks at that handle when it is loaded.
        import ctypes  # noqa: PLC0415 - of Windows
        import msvcrt  # noqa: PLC0415

        handle = msvcrt.get_osfhandle(0)
        while ctypes.windll.kernel32.PeekNamedPipe(handle, None, 0, None, None, None):
            time.sleep(0.5)
    else:
        while os.read(0, 4096):
            pass


def step_back() -> None:
    """This process works only when others do not want the processor."""
    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            psutil.Process().nice(10)


def started_at(pid: int) -> float | None:
    """When the process began, seconds since the epoch; with the id it names a process for good."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_running(pid: int, created: float) -> bool:
    now = started_at(pid)
    return now is not None and abs(now - created) < 1.0


def stop_tree(pid: int) -> None:
    """End a process with all that it started: politely first, by force after ten seconds."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process, polite=True)
    for process in _alive_after(family, _GRACE_SECONDS):
        _signal(process, polite=False)
    _alive_after(family, _GRACE_SECONDS)


def _alive_after(family: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those still alive after at most so many seconds.

    Polls, because waiting would collect the exit code that belongs to whoever started the process.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in family if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, *, polite: bool) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        if polite and not _WINDOWS:
            process.send_signal(signal.SIGTERM)
        else:
            process.kill()


def capture(argv: Sequence[str], *, cwd: Path, timeout_seconds: float = 10.0) -> str | None:
    """Standard output of a short command, or None when it is missing, fails or hangs."""
    if shutil.which(argv[0]) is None:
        return None
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run_shell(command: str) -> tuple[int, str]:
    """A line that a person wrote for their own shell: its exit code and the end of what it said."""
    done = subprocess.run(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, "\n".join(done.stdout.strip().splitlines()[-5:])


def log_tail(path: Path, *, num_lines: int = 20) -> str:
    """The end of a log, carriage returns of progress bars folded."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line.rstrip().rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join([line for line in lines if line][-num_lines:])


def now_utc() -> str:
    """ISO 8601 with seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
