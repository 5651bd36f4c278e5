"""A model in a folder on this machine, used where it lies."""

from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import HubAccess
from bakeoff.base.sources import resolve_path
from bakeoff.models.files import (
    check_config,
    check_names,
    check_weights,
    digests,
    manifest_of,
    model_files,
)
from bakeoff.models.sources import Surroundings
from bakeoff.schema.recipe_subject import ModelSpec
from bakeoff.schema.results import ModelManifest


class LocalSource:
    """Nothing is written into the folder; digests of its files are remembered in the cache."""

    def fingerprint(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None) -> str:
        """Of the contents; where the folder lies makes no difference."""
        folder = _checked_folder(spec, base_dir)
        return digest_json(_digests(folder, spec, cache_dir))

    def locate(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
        return resolve_path(spec.source, base_dir)

    def num_bytes_to_fetch(self, spec: ModelSpec, *, cache_dir: Path, hub: HubAccess) -> int | None:
        return None

    def fetch(self, spec: ModelSpec, surroundings: Surroundings) -> tuple[Path, ModelManifest]:
        folder = _checked_folder(spec, surroundings.base_dir)
        check_config(folder, trust_remote_code=spec.trust_remote_code)
        check_weights(folder)
        surroundings.report(0, 0, f"reading {folder}")
        found = _digests(folder, spec, surroundings.cache_dir)
        return folder, manifest_of(folder, found, source=spec.source, revision=None)


SOURCE = LocalSource()


def _checked_folder(spec: ModelSpec, base_dir: Path) -> Path:
    folder = resolve_path(spec.source, base_dir)
    if not folder.is_dir():
        raise UserError(
            f"`model.source: {spec.source}` is a file; a folder was expected",
            hint="name the folder that holds config.json, the tokenizer and *.safetensors",
        )
    check_names(_names(folder), where=str(folder), trust_remote_code=spec.trust_remote_code)
    return folder


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def _digests(folder: Path, spec: ModelSpec, cache_dir: Path | None) -> dict[str, str]:
    names = model_files(_names(folder), trust_remote_code=spec.trust_remote_code)
    return digests(folder, names, cache_dir / "digests" if cache_dir else None)
