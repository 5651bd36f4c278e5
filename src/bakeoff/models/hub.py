"""A model on the Hugging Face hub or a mirror: weights, tokenizer, configuration, no more."""

import shutil
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import Repo, download_files, folder_name, list_repo
from bakeoff.models.files import (
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
from bakeoff.schema.recipe import ModelSpec
from bakeoff.schema.results import ModelManifest

_SMALL_BYTES = 1_000_000


class HubSource:
    """An interrupted download goes on from the files that are whole already."""

    def fingerprint(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None) -> str:
        """Of name and revision. Without a pinned revision, a change on the hub keeps the id."""
        return digest_json([spec.source, spec.revision])

    def locate(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
        folder = self._folder(spec, cache_dir)
        return folder if (folder / MANIFEST).exists() else None

    def fetch(self, spec: ModelSpec, surroundings: Surroundings) -> tuple[Path, ModelManifest]:
        folder = self._folder(spec, surroundings.cache_dir)
        if not (folder / MANIFEST).exists():
            self._download(spec, folder, surroundings)
        return folder, read_manifest(folder)

    def _folder(self, spec: ModelSpec, cache_dir: Path) -> Path:
        identity = digest_json([spec.source, spec.revision, spec.trust_remote_code])
        return cache_dir / "models" / f"{folder_name(spec.source)}-{identity[:12]}"

    def _download(self, spec: ModelSpec, folder: Path, surroundings: Surroundings) -> None:
        repo = list_repo(
            spec.source,
            kind="model",
            revision=spec.revision,
            access=surroundings.hub,
            cache_dir=surroundings.cache_dir,
        )
        trust = spec.trust_remote_code
        check_names(repo.files, where=f"the model {spec.source}", trust_remote_code=trust)
        names = model_files(repo.files, trust_remote_code=trust)
        # Named by commit, so that parts of two revisions never meet.
        partial = folder.with_name(f".{folder.name}-{repo.commit[:12]}.part")
        _fetch_into(partial, repo, names, surroundings, trust_remote_code=trust)
        file_digests = digests(partial, names, memory_dir=None)
        _compare(file_digests, repo, partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        write_manifest(
            partial,
            manifest_of(partial, file_digests, source=spec.source, revision=repo.commit),
        )
        partial.replace(folder)


SOURCE = HubSource()


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
    download_files(repo, small, partial, access=surroundings.hub, report=surroundings.report)
    check_config(partial, trust_remote_code=trust_remote_code)
    download_files(repo, names, partial, access=surroundings.hub, report=surroundings.report)
    check_weights(partial)


def _compare(file_digests: dict[str, str], repo: Repo, folder: Path) -> None:
    """Against the checksums that the hub states."""
    for name, digest in file_digests.items():
        expected = repo.files[name].sha256
        if expected is not None and digest != expected:
            (folder / name).unlink()
            raise UserError(
                f"{name} of {repo.name} arrived with other content than the hub states "
                f"(SHA-256 {digest[:12]}..., expected {expected[:12]}...)",
                hint="run the same command again; if it persists, use another mirror",
            )
