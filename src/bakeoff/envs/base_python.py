"""The Python that an environment is built on."""

import sys
from pathlib import Path

from packaging.specifiers import SpecifierSet

from bakeoff.base.errors import UserError
from bakeoff.base.process import capture
from bakeoff.envs.interpreter import Interpreter, look_at
from bakeoff.envs.spec import EnvSpec
from bakeoff.envs.uv import Uv

_LIMIT_SECONDS = 60.0


def find_base_python(spec: EnvSpec, uv: Uv, wanted: str | None) -> Interpreter:
    """The one that is wanted; if none is, ours if it fits, or any on this machine that does.

    Args:
        spec: Says which versions fit.
        uv: Knows where interpreters are; it downloads none.
        wanted: A path, a command or a version.

    Raises:
        UserError: There is none, or it does not fit.
    """
    for candidate in (wanted,) if wanted else (sys.executable, spec.pythons):
        interpreter = _find(uv, candidate)
        if interpreter is not None and interpreter.version in SpecifierSet(spec.pythons):
            return interpreter
        if interpreter is not None and wanted:
            raise _unfit(spec, f"{wanted} is Python {interpreter.version}")
    raise _unfit(spec, f"there is no `{wanted}`" if wanted else "none was found on this machine")


def _find(uv: Uv, wanted: str) -> Interpreter | None:
    found = capture(
        [str(uv.program), "python", "find", "--no-project", "--no-python-downloads",
         "--no-config", wanted],
        cwd=Path.cwd(),
        timeout_seconds=_LIMIT_SECONDS,
    )  # fmt: skip
    return look_at(Path(found)) if found else None


def _unfit(spec: EnvSpec, what: str) -> UserError:
    return UserError(
        f"the environment `{spec.name}` needs Python {spec.pythons}; {what}",
        hint="install Python 3.12 beside yours (`uv python install 3.12` is one way), or name "
        "one with --python",
    )
