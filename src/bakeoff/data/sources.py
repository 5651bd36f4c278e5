"""What a source of rows is, and the table of sources."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess, Report
from bakeoff.base.registry import Registry
from bakeoff.base.sources import resolve_path, source_kind
from bakeoff.data.source_names import find_entry, parse_swift_name
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout

NumberedRows = Iterator[tuple[int, object]]
"""Rows as the file has them, unchecked, each with the number that a person finds it by."""


class ChooseColumns(Protocol):
    """Says which columns of a table are needed."""

    def __call__(self, present: Sequence[str], *, where: str) -> list[str]:
        """Raises UserError, with ``where``, for a column that is needed and not there."""
        ...


@dataclass(frozen=True)
class RowsFile:
    """One file (or one generator) of rows."""

    label: str
    """What a message calls it: mostly its path."""

    unit: str
    """What its rows are counted in: `line` or `row`."""

    read: Callable[[], NumberedRows]
    """Starts from the first row each time. Raises UserError for what cannot be read."""

    layout: Layout | None = None
    """How its rows are laid out, where the source knows; None: as the recipe says."""


@dataclass(frozen=True)
class Splits:
    """The splits of a dataset before anything was drawn from them."""

    train: tuple[RowsFile, ...]
    validation: tuple[RowsFile, ...] | None
    """None: to be taken out of ``train``."""

    test: tuple[RowsFile, ...]
    revision: str | None = None
    """Commit on the hub, or version of the generator."""

    num_train: int | None = None
    """At most so many training rows, where the source's own words say so."""


@dataclass(frozen=True)
class Surroundings:
    """Where a source may read and write."""

    base_dir: Path
    """Folder of the recipe."""

    cache_dir: Path
    hub: HubAccess
    report: Report
    layout: Layout | None = None
    """How rows are laid out, where a list of datasets says so; None: as the recipe says."""


class DataSource(Protocol):
    """Knows one way of getting rows."""

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        """Equal for equal rows, as far as can be told cheaply and without a network."""
        ...

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        """Find the splits, downloading them where need be.

        Raises:
            UserError: A split is not there, cannot be told from another, or cannot be reached.
        """
        ...

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        """One split by its name, the others untouched.

        Raises:
            NoSuchSplitError: There is none of that name.
            UserError: It cannot be told from another, or cannot be reached.
        """
        ...


class NoSuchSplitError(UserError):
    """The dataset has no split of that name."""


DATA_SOURCES: Registry[DataSource] = Registry(
    "data",
    {
        "builtin:gsm-symbolic": "bakeoff.data.gsm_symbolic:SOURCE",
        "dataset-info": "bakeoff.data.dataset_info:SOURCE",
        "hub": "bakeoff.data.hub:SOURCE",
        "hugging-face": "bakeoff.data.one_hub:HUGGING_FACE",
        "local": "bakeoff.data.local:SOURCE",
        "modelscope": "bakeoff.data.one_hub:MODELSCOPE",
        "swift": "bakeoff.data.swift_names:SOURCE",
    },
)


def source_of(spec: DataSpec, base_dir: Path) -> DataSource:
    if find_entry(spec.source, base_dir) is not None:
        return DATA_SOURCES.get("dataset-info")
    on_disk = resolve_path(spec.source, base_dir).exists()
    if not on_disk and parse_swift_name(spec.source) is not None:
        return DATA_SOURCES.get("swift")
    kind = source_kind(spec.source, base_dir, key="data.source")
    return DATA_SOURCES.get(spec.source if kind == "builtin" else kind)
