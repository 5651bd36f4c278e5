"""uv, the program that makes environments and locks."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.base.errors import BakeoffError, RunError, UserError
from bakeoff.base.process import log_tail
from bakeoff.envs.child import Report, follow, isolated

_LIMIT_SECONDS = 4 * 3600.0
"""Six gigabytes over half a megabyte a second."""

_SAYS_NO_NETWORK = (
    "error sending request", "failed to fetch", "dns error", "network connectivity is disabled",
    "network is disabled", "operation timed out", "connection refused", "failed to download",
    "error decoding response body", "tls handshake",
)  # fmt: skip
_SAYS_NO_DISK = ("no space left on device", "os error 28", "os error 112", "disk quota exceeded")


@dataclass(frozen=True)
class Uv:
    program: Path
    environment: Mapping[str, str]

    def without_local_files(self) -> "Uv":
        others = {k: v for k, v in self.environment.items() if k != "UV_FIND_LINKS"}
        return replace(self, environment=others)

    def run(self, arguments: Sequence[str], *, cwd: Path, what: str, report: Report) -> None:
        """One command, its log in ``cwd/uv.log``.

        Raises:
            UserError: No network or no disk; ``what`` says what came of it.
            RunError: Anything else; holds the end of the log.
        """
        log = cwd / "uv.log"
        code = follow(
            [str(self.program), *arguments],
            env=self.environment,
            cwd=cwd,
            log=log,
            report=_only_news(report),
            limit_seconds=_LIMIT_SECONDS,
        )
        if code != 0:
            raise _failure(what, code, log_tail(log))


def find_uv(environment: Mapping[str, str]) -> Uv:
    """The uv that came with this package, or else the one on the path.

    Args:
        environment: Of this process. Settings for pip that uv knows under another name are passed
            on, unless uv has its own.

    Raises:
        UserError: There is none.
    """
    given = isolated(environment)
    program = _packaged() or shutil.which("uv", path=environment.get("PATH"))
    if program is None:
        raise UserError(
            "the program `uv` was not found, which makes environments",
            hint="`python -m pip install uv`, in the environment of bakeoff",
        )
    # A slow line must not look like a broken one.
    settings = {"UV_HTTP_TIMEOUT": "300", "UV_NO_PROGRESS": "1"}
    for name, of_pip in (
        ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
        ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"),
        ("SSL_CERT_FILE", "PIP_CERT"),
    ):
        if environment.get(of_pip):
            settings[name] = environment[of_pip]
    if "UV_FIND_LINKS" in settings:  # separated by commas here, by spaces there
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    if "UV_INDEX_URL" in environment:  # the older name of UV_DEFAULT_INDEX
        settings.pop("UV_DEFAULT_INDEX", None)
    return Uv(Path(program), {**settings, **given})


def _packaged() -> str | None:
    """None where uv is installed as a program without its Python package, as conda does."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return None


def _only_news(report: Report) -> Report:
    """Without the list of packages that stands at the end, and without repetition."""
    last = ""

    def tell(line: str) -> None:
        nonlocal last
        if line and line != last and not line.startswith(("+ ", "- ")):
            last = line
            report(line)

    return tell


def _failure(what: str, code: int, tail: str) -> BakeoffError:
    said = tail.lower()
    last = tail.splitlines()[-1].strip() if tail else ""
    if any(words in said for words in _SAYS_NO_DISK):
        return UserError(
            f"{what}: the disk is full ({last})",
            hint="free some space, or name a larger disk with --cache-dir",
        )
    if any(words in said for words in _SAYS_NO_NETWORK):
        return UserError(
            f"{what}: the package index did not answer\n{tail}",
            hint="check the network; for a mirror set UV_DEFAULT_INDEX (or PIP_INDEX_URL) to its "
            "address. What was downloaded is kept: the same command goes on from there",
        )
    return RunError(f"{what}: uv ended with exit code {code}", log_tail=tail)
