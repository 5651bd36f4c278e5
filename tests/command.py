"""Runs the real command, as a person would."""

import os
import subprocess
import sys
from pathlib import Path


def environment(folder: Path) -> dict[str, str]:
    """Ours, with a cache in ``folder``."""
    return {**os.environ, "BAKEOFF_CACHE_DIR": str(folder / "cache"), "NO_COLOR": "1"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bakeoff", *(str(argument) for argument in arguments)]


def bakeoff(
    folder: Path, *arguments: object, expect: int = 0, timeout_seconds: float = 600
) -> subprocess.CompletedProcess[str]:
    """One command in ``folder``; fails when the exit code is another or a traceback is shown."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_seconds,
        check=False,
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done
