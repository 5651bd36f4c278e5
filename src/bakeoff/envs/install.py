"""Installing an environment: whole or not at all."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import folder_when_whole, require_free_bytes, write_text_atomic
from bakeoff.base.hashing import short_id
from bakeoff.base.locks import locked
from bakeoff.base.process import now_utc
from bakeoff.envs.base_python import find_base_python
from bakeoff.envs.child import Report
from bakeoff.envs.installed import (
    NOTE,
    Installed,
    drop_leavings,
    envs_dir,
    installed_from,
    lock_file,
    num_bytes,
    python_in,
)
from bakeoff.envs.interpreter import Interpreter, differences, look_at, this_system
from bakeoff.envs.locks import Lock, read_lock
from bakeoff.envs.spec import EnvSpec
from bakeoff.envs.uv import Uv
from bakeoff.schema.environment import InstalledEnvironment

_WITHOUT_CUDA_BYTES = 2_500_000_000


@dataclass(frozen=True, kw_only=True)
class Installer:
    """Makes environments from their locks."""

    cache_dir: Path
    uv: Uv
    report: Report
    python: str | None = None
    """To build on: a path, a command or a version; None: whichever fits."""

    torch_backend: str | None = None
    """Which build of torch, in uv's words (`cpu`, `cu130`, `auto`); None: as the index has it."""

    def install(self, spec: EnvSpec) -> Installed:
        """The environment; the one that is there if it is still as locked.

        Raises:
            UserError: This system or Python does not fit, no disk, no network.
            RunError: uv failed; holds the end of its log.
        """
        lock = read_lock(spec)
        _require_system(spec)
        with locked(lock_file(spec.name, self.cache_dir), self._waits):
            there = installed_from(lock, spec.name, self.cache_dir)
            if there and self.python is None and self._is_wanted(there[-1], lock):
                return there[-1]
            base = find_base_python(spec, self.uv, self.python)
            target = self._target(spec, lock, base)
            for one in there:
                if one.folder == target and self._is_wanted(one, lock):
                    return one
            drop_leavings(spec.name, self.cache_dir)
            self._require_disk(spec)
            with folder_when_whole(target) as folder:
                self._fill(folder, spec, lock, base)
                note = self._note(folder, spec, lock, base)
                write_text_atomic(folder / NOTE, note.model_dump_json(indent=2) + "\n")
            return Installed(target, note)

    def _waits(self) -> None:
        self.report("waiting for another one")

    def _is_wanted(self, there: Installed, lock: Lock) -> bool:
        """Whole, unchanged, and with the build of torch that is asked for now."""
        if self.torch_backend not in (None, there.note.torch_backend):
            return False
        try:
            return not differences(lock, look_at(there.python))
        except UserError:  # the Python that it was built on is gone
            return False

    def _target(self, spec: EnvSpec, lock: Lock, base: Interpreter) -> Path:
        minor = ".".join(base.version.split(".")[:2])
        identity = short_id({"lock": lock.digest, "python": minor, "system": this_system()})
        return envs_dir(self.cache_dir) / f"{spec.name}-{identity}"

    def _require_disk(self, spec: EnvSpec) -> None:
        """A folder of local files is taken to hold a torch without CUDA: never stop for a guess."""
        with_cuda = (
            this_system().startswith("linux")
            and self.torch_backend != "cpu"
            and "UV_FIND_LINKS" not in self.uv.environment
        )
        needed = spec.num_bytes if with_cuda else min(spec.num_bytes, _WITHOUT_CUDA_BYTES)
        require_free_bytes(envs_dir(self.cache_dir), needed, f"the environment `{spec.name}`")

    def _fill(self, folder: Path, spec: EnvSpec, lock: Lock, base: Interpreter) -> None:
        what = f"the environment `{spec.name}` was not installed"
        write_text_atomic(folder / "lock.txt", "\n".join(lock.lines) + "\n")
        write_text_atomic(folder / "overrides.txt", "\n".join(spec.overrides) + "\n")
        # Relocatable: it is moved when it is whole.
        self.uv.run(
            ["venv", "--quiet", "--relocatable", "--allow-existing", "--no-project",
             "--prompt", spec.name, "--python", str(base.python), "."],
            cwd=folder, what=what, report=self.report,
        )  # fmt: skip
        python = python_in(folder)
        backend = ["--torch-backend", self.torch_backend] if self.torch_backend else []
        self.uv.run(
            ["pip", "install", "--python", str(python), "--override", "overrides.txt", *backend,
             "--requirement", "lock.txt"],
            cwd=folder, what=what, report=self.report,
        )  # fmt: skip
        self.report("comparing with the lock")
        if wrong := differences(lock, look_at(python)):
            raise RunError(f"{what}: it is not as locked", log_tail="\n".join(wrong[:20]))
        for path in spec.stand_in_paths:
            shutil.copyfile(path, _site_packages(folder) / path.name)

    def _note(
        self, folder: Path, spec: EnvSpec, lock: Lock, base: Interpreter
    ) -> InstalledEnvironment:
        return InstalledEnvironment(
            name=spec.name,
            lock_digest=lock.digest,
            python_version=base.version,
            system=this_system(),
            torch_backend=self.torch_backend,
            num_bytes=num_bytes(folder),
            installed_at=now_utc(),
        )


def _require_system(spec: EnvSpec) -> None:
    system = this_system()
    if system not in spec.systems:
        raise UserError(
            f"the environment `{spec.name}` is for {', '.join(sorted(spec.systems))}; this is "
            f"{system}",
            hint="name an environment of your own in the recipe: "
            f"`env: {{{spec.name}: /path/to/python}}`",
        )


def _site_packages(folder: Path) -> Path:
    return next(path for path in folder.rglob("site-packages") if path.is_dir())
