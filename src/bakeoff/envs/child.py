"""A child process whose log is followed while it runs."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bakeoff.base.errors import RunError
from bakeoff.base.process import Child, log_tail

Report = Callable[[str], None]
"""Is told in a few words what goes on now."""

_OF_ANOTHER_PYTHON = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
)


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead an interpreter to packages of another one."""
    return {name: text for name, text in environment.items() if name not in _OF_ANOTHER_PYTHON}


def follow(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    report: Report,
    limit_seconds: float,
) -> int:
    """Run to the end, reporting the newest line of the log; the exit code.

    Raises:
        RunError: It took longer than the limit, and was ended.
    """
    deadline = time.monotonic() + limit_seconds
    with Child(argv, env=env, cwd=cwd, log_path=log) as child:
        while (code := child.wait(0.3)) is None:
            report(log_tail(log, num_lines=1).strip())
            if time.monotonic() > deadline:
                message = f"no end after {limit_seconds:.0f} seconds; it was stopped"
                raise RunError(message, log_tail=log_tail(log))
    return code
