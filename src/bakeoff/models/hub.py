"""A model on the Hugging Face hub, a mirror or ModelScope: weights, tokenizer, configuration."""

import glob
import shutil
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import (
    HubAccess,
    HubAddress,
    Repo,
    download_files,
    first_that_works,
    folder_name,
    list_repo,
)
from bakeoff.models.files import (
    CARDS,
    MANIFEST,
    check_config,
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

_SMALL_BYTES = 1_000_000
_PART = ".part"


class HubSource:
    """An interrupted download goes on where it broke off, in the middle of a file too."""

    def fingerprint(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None) -> str:
        """Of name and revision. Without a pinned revision, a change on the hub keeps the id."""
        return digest_json([spec.source, spec.revision])

    def locate(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
        folder = self._folder(spec, cache_dir)
        return folder if (folder / MANIFEST).exists() else None

    def num_bytes_to_fetch(self, spec: ModelSpec, *, cache_dir: Path, hub: HubAccess) -> int | None:
        try:
            repo = list_repo(
                spec.source, kind="model", revision=spec.revision, access=hub, cache_dir=cache_dir
            )
        except UserError:
            return None
        names = model_files(repo.files, trust_remote_code=spec.trust_remote_code)
        return sum(repo.files[name].size for name in names)

    def fetch(self, spec: ModelSpec, surroundings: Surroundings) -> tuple[Path, ModelManifest]:
        folder = self._folder(spec, surroundings.cache_dir)
        if not (folder / MANIFEST).exists():
            self._download(spec, folder, surroundings)
        return folder, read_manifest(folder)

    def _folder(self, spec: ModelSpec, cache_dir: Path) -> Path:
        identity = digest_json([spec.source, spec.revision, spec.trust_remote_code])
        return cache_dir / "models" / f"{folder_name(spec.source)}-{identity[:12]}"

    def _download(self, spec: ModelSpec, folder: Path, surroundings: Surroundings) -> None:
        def attempt(place: HubAddress) -> tuple[Path, Repo]:
            return _fetch_from(place, spec, folder, surroundings)

        partial, repo = first_that_works(surroundings.hub, f"the model {spec.source}", attempt)
        names = model_files(repo.files, trust_remote_code=spec.trust_remote_code)
        manifest = manifest_of(
            partial,
            digests(partial, names, memory_dir=None),
            source=spec.source,
            revision=repo.commit,
            fetched_from=repo.place.endpoint,
        )
        write_manifest(partial, manifest)
        partial.replace(folder)
        _remove_other_parts(folder)


SOURCE = HubSource()


def _fetch_from(
    place: HubAddress, spec: ModelSpec, folder: Path, surroundings: Surroundings
) -> tuple[Path, Repo]:
    """A folder beside ``folder`` with everything that is needed, and what it was fetched from."""
    repo = list_repo(
        spec.source,
        kind="model",
        revision=spec.revision,
        access=surroundings.hub,
        cache_dir=surroundings.cache_dir,
        place=place,
    )
    trust = spec.trust_remote_code
    check_names(repo.files, where=f"the model {spec.source}", trust_remote_code=trust)
    names = model_files(repo.files, trust_remote_code=trust)
    num_bytes = sum(repo.files[name].size for name in names)
    surroundings.hub.say(
        f"{place.title}: has {spec.source} at {repo.commit[:12]}, "
        f"{len(names)} files, {num_bytes / 1e9:.2f} GB"
    )
    # Named by commit, so that parts of two revisions never meet.
    partial = folder.with_name(f".{folder.name}-{repo.commit[:12]}{_PART}")
    _fetch_into(partial, repo, names, surroundings, trust_remote_code=trust)
    return partial, repo


def _fetch_into(
    partial: Path,
    repo: Repo,
    names: list[str],
    surroundings: Surroundings,
    *,
    trust_remote_code: bool,
) -> None:
    """Small files first, so that a model that cannot be used costs no gigabytes."""
    small = [name for name in names if repo.files[name].size <= _SMALL_BYTES]
    cards = [name for name in CARDS if name in repo.files and repo.files[name].size <= _SMALL_BYTES]
    access, report = surroundings.hub, surroundings.report
    download_files(repo, [*small, *cards], partial, access=access, report=report)
    check_config(partial, trust_remote_code=trust_remote_code)
    download_files(repo, names, partial, access=access, report=report)
    check_weights(partial)


def _remove_other_parts(folder: Path) -> None:
    """What earlier attempts brought from other places or of other revisions."""
    for part in folder.parent.glob(f".{glob.escape(folder.name)}-*{_PART}"):
        shutil.rmtree(part, ignore_errors=True)
