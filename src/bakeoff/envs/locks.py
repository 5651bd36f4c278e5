"""Locks: names and versions of all that an environment holds, for every system.

Left out is what torch brings for CUDA: torch itself pins it, and a build without CUDA needs none.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bakeoff.base.errors import UserError
from bakeoff.base.files import write_text_atomic
from bakeoff.base.hashing import digest_json
from bakeoff.envs.child import Report
from bakeoff.envs.spec import EnvSpec
from bakeoff.envs.uv import Uv

_OLDEST_PYTHON = "3.11"
_OF_CUDA = re.compile(r"(nvidia-|cuda-|triton==)")


@dataclass(frozen=True)
class Lock:
    lines: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    digest: str
    """Over the lock, the overrides and the stand-ins: all that decides what is installed."""

    def version(self, distribution: str) -> str:
        """The version that is locked, the first one where it depends on the system."""
        name = canonicalize_name(distribution)
        found = next(r for r in self.requirements if canonicalize_name(r.name) == name)
        return str(found.specifier).removeprefix("==")


def read_lock(spec: EnvSpec) -> Lock:
    """The lock that comes with the environment's description.

    Raises:
        UserError: There is none yet.
    """
    try:
        text = spec.lock_path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"the environment `{spec.name}` has no lock", hint=f"`bakeoff env lock {spec.name}`"
        ) from None
    lines = tuple(line for line in text.splitlines() if line and not line.startswith("#"))
    stand_ins = {path.name: path.read_text(encoding="utf-8") for path in spec.stand_in_paths}
    return Lock(
        lines=lines,
        requirements=tuple(Requirement(line) for line in lines),
        digest=digest_json([sorted(lines), sorted(spec.overrides), stand_ins]),
    )


def make_lock(spec: EnvSpec, uv: Uv, *, upgrade: bool, report: Report) -> Path:
    """Resolve the requirements for every system and write the lock into this package.

    Args:
        spec: Whose lock.
        uv: Must reach a package index; folders of local files are left out of account.
        upgrade: Take the newest versions; otherwise those of the present lock, where they fit.
        report: Told what goes on.

    Raises:
        UserError: The index cannot be reached.
        RunError: The requirements contradict each other; holds uv's explanation.
    """
    path = spec.lock_path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = folder / "lock.txt"
        if path.is_file():
            made.write_bytes(path.read_bytes())
        write_text_atomic(folder / "requirements.in", "\n".join(spec.requirements) + "\n")
        write_text_atomic(folder / "overrides.txt", "\n".join(spec.overrides) + "\n")
        options = ["--universal", "--python-version", _OLDEST_PYTHON, "--no-annotate"]
        uv.without_local_files().run(
            ["pip", "compile", *options, "--no-header", *(["--upgrade"] if upgrade else []),
             "--override", "overrides.txt", "--output-file", "lock.txt", "requirements.in"],
            cwd=folder,
            what=f"the lock of `{spec.name}` could not be made",
            report=report,
        )  # fmt: skip
        lines = made.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not _OF_CUDA.match(line)]
    write_text_atomic(path, "\n".join(kept) + "\n")
    return path
