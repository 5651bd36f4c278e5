"""Rows from a dataset on a hub: only the files of the wanted splits, from the first that works."""

import fnmatch
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import (
    HubAddress,
    Repo,
    download_files,
    first_that_works,
    folder_name,
    list_repo,
)
from bakeoff.data.formats.reading import layout_of
from bakeoff.data.sources import RowsFile, Splits, Surroundings
from bakeoff.data.split_files import data_suffix, files_of_split, rows_file
from bakeoff.schema.recipe_subject import DataSpec

_CARD = "README.md"


class HubSource:
    """Splits are those that the dataset's card declares, or else those its files are named by."""

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        """Of names only. Without a pinned revision, rows that change on the hub keep their id."""
        return digest_json(
            [spec.source, spec.revision, spec.subset, spec.train, spec.validation, spec.test]
        )

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        wanted = {"train": spec.train, "validation": spec.validation, "test": spec.test}
        names = {key: name for key, name in wanted.items() if name is not None}
        repo, files = self._open(spec, names, surroundings)
        return Splits(files["train"], files.get("validation"), files["test"], repo.commit)

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        return self._open(spec, {"split": split}, surroundings)[1]["split"]

    def _open(
        self, spec: DataSpec, splits: dict[str, str], surroundings: Surroundings
    ) -> tuple[Repo, dict[str, tuple[RowsFile, ...]]]:
        def attempt(place: HubAddress) -> tuple[Repo, dict[str, tuple[RowsFile, ...]]]:
            return _open_at(place, spec, splits, surroundings)

        return first_that_works(surroundings.hub, f"the dataset {spec.source}", attempt)


SOURCE = HubSource()


def _open_at(
    place: HubAddress, spec: DataSpec, splits: dict[str, str], surroundings: Surroundings
) -> tuple[Repo, dict[str, tuple[RowsFile, ...]]]:
    """List and download from one place; what another place has brought already is not asked for."""
    cache_dir = surroundings.cache_dir
    repo = list_repo(
        spec.source,
        kind="dataset",
        revision=spec.revision,
        access=surroundings.hub,
        cache_dir=cache_dir,
        place=place,
    )
    folder = cache_dir / "datasets" / f"{folder_name(spec.source)}-{repo.commit[:12]}"
    declared = _declared_files(repo, folder, spec.subset, surroundings)
    found = {
        key: _names_of_split(repo, name, key, spec.subset, declared) for key, name in splits.items()
    }
    names = sorted({name for names in found.values() for name in names})
    _download(repo, names, folder, surroundings)
    layout = surroundings.layout or layout_of(spec)
    return repo, {
        key: tuple(rows_file(folder / name, layout) for name in names)
        for key, names in found.items()
    }


def _download(repo: Repo, names: list[str], folder: Path, surroundings: Surroundings) -> None:
    download_files(repo, names, folder, access=surroundings.hub, report=surroundings.report)


def _names_of_split(
    repo: Repo, split: str, key: str, subset: str | None, declared: dict[str, list[str]]
) -> list[str]:
    if data_suffix(split) and split in repo.files:
        return [split]
    if split in declared:
        return declared[split]
    try:
        return files_of_split(repo.files, split, subset)
    except UserError as error:
        known = f"; its card declares {', '.join(f'`{name}`' for name in declared)}"
        raise type(error)(
            f"`data.{key}` of the dataset {repo.name}: {error}{known if declared else ''}",
            hint=error.hint,
        ) from error


def _declared_files(
    repo: Repo, folder: Path, subset: str | None, surroundings: Surroundings
) -> dict[str, list[str]]:
    """Files by split, from the `configs` in the head of the dataset's card.

    Raises:
        UserError: The subset is not among those declared, or there are several and none is named.
    """
    if _CARD not in repo.files:
        return {}
    _download(repo, [_CARD], folder, surroundings)
    from huggingface_hub.repocard import metadata_load  # noqa: PLC0415 - slow to import

    configs = (metadata_load(folder / _CARD) or {}).get("configs") or []
    config = _chosen_config(configs, repo, subset)
    entries = config.get("data_files") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return {}
    return {
        entry["split"]: names
        for entry in entries
        if "split" in entry and (names := _matching(repo, entry.get("path", [])))
    }


def _chosen_config(configs: list[dict[str, Any]], repo: Repo, subset: str | None) -> dict[str, Any]:
    by_name: dict[str, dict[str, Any]] = {
        config["config_name"]: config for config in configs if "config_name" in config
    }
    if subset is not None and by_name and subset not in by_name:
        raise UserError(
            f"the dataset {repo.name} has no subset `{subset}`",
            hint=f"set `data.subset` to one of {', '.join(f'`{name}`' for name in by_name)}",
        )
    defaults = [config for config in configs if config.get("default")]
    if subset is None and len(by_name) > 1 and not defaults and "default" not in by_name:
        raise UserError(
            f"the dataset {repo.name} has several subsets: "
            f"{', '.join(f'`{name}`' for name in by_name)}",
            hint=f"name the one that is meant, e.g. `data.subset: {next(iter(by_name))}`",
        )
    if subset is not None:
        return by_name.get(subset, {})
    return next(iter([*defaults, by_name.get("default", {}), *by_name.values()]), {})


def _matching(repo: Repo, patterns: str | list[str]) -> list[str]:
    wanted = [patterns] if isinstance(patterns, str) else patterns
    return sorted(
        name
        for name in repo.files
        if data_suffix(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)
    )
