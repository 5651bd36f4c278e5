"""What a source of rows is, and the table of sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakeoff.base.hub import HubAccess, Report
from bakeoff.base.registry import Registry
from bakeoff.base.sources import source_kind
from bakeoff.schema.recipe import DataSpec

NumberedRows = Iterator[tuple[int, object]]
"""Rows as the file has them, unchecked, each with the number that a person finds it by."""


@dataclass(frozen=True)
class RowsFile:
    """One file (or one generator) of rows."""

    label: str
    """What a message calls it: mostly its path."""

    unit: str
    """What its rows are counted in: `line` or `row`."""

    read: Callable[[], NumberedRows]
    """Starts from the first row each time. Raises UserError for what cannot be read."""


@dataclass(frozen=True)
class Splits:
    """The splits of a dataset before anything was drawn from them."""

    train: tuple[RowsFile, ...]
    validation: tuple[RowsFile, ...] | None
    """None: to be taken out of ``train``."""

    test: tuple[RowsFile, ...]
    revision: str | None = None
    """Commit on the hub, or version of the generator."""


@dataclass(frozen=True)
class Surroundings:
    """Where a source may read and write."""

    base_dir: Path
    """Folder of the recipe."""

    cache_dir: Path
    hub: HubAccess
    report: Report


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


DATA_SOURCES: Registry[DataSource] = Registry(
    "data",
    {
        "builtin:gsm-symbolic": "bakeoff.data.gsm_symbolic:SOURCE",
        "hub": "bakeoff.data.hub:SOURCE",
        "local": "bakeoff.data.local:SOURCE",
    },
)


def source_of(spec: DataSpec, base_dir: Path) -> DataSource:
    kind = source_kind(spec.source, base_dir, key="data.source")
    return DATA_SOURCES.get(spec.source if kind == "builtin" else kind)
