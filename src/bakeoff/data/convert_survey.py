"""The first look at the rows that are to be converted: what they need, and what would be lost."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.formats.reading import RowReader, layout_of
from bakeoff.data.framework_files import (
    NO_SYSTEM_READ_AS,
    Framework,
    misreads_no_system,
    unread_by,
)
from bakeoff.data.sources import RowsFile, Surroundings
from bakeoff.interfaces import RowFormat
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout, Sample

_ROWS_PER_REPORT = 5_000


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to write, and where."""

    folder: Path
    name: str
    """What the dataset is called in LLaMA-Factory's list."""

    format: str
    """Name of a row format."""

    framework: Framework | None = None
    layout: Layout = field(default_factory=Layout)
    """Names of the columns to write; the usual ones where it names none."""

    allow_loss: bool = False
    """Go on although something has no place in the format; it is counted."""

    overwrite: bool = False


@dataclass(frozen=True)
class Rows:
    """All rows of the source, to be gone through again and again."""

    spec: DataSpec
    surroundings: Surroundings
    files: dict[str, tuple[RowsFile, ...]]

    def samples(self, split: str, doing: str) -> Iterator[tuple[str, Sample, Collection[str]]]:
        """Place, conversation and columns left unread of each row of a split."""
        done = 0
        for file in self.files[split]:
            reader = RowReader(file.layout or layout_of(self.spec))
            for number, value in file.read():
                where = f"{file.label}, {file.unit} {number}"
                yield where, reader.sample(value, where=where), reader.unread(value)
                done += 1
                if done % _ROWS_PER_REPORT == 0:
                    self.surroundings.report(done, 0, f"{doing} {split}")
            reader.finish(where=file.label)


@dataclass
class _Places:
    """How many rows, and where the first of them stands."""

    count: int = 0
    first: str = ""

    def add(self, where: str) -> None:
        self.first = self.first or where
        self.count += 1


@dataclass(frozen=True)
class Survey:
    """What the rows need of the format, and what it has no place for."""

    without_system: _Places = field(default_factory=_Places)
    lost: Counter[str] = field(default_factory=Counter)
    optional: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)


def surveyed(rows: Rows, target: Target) -> Survey:
    """Raises UserError at the first row that would lose something, unless that is allowed."""
    row_format = ROW_FORMATS.get(target.format)
    survey = Survey()
    for split in rows.files:
        for where, sample, unread in rows.samples(split, "checking"):
            survey.unread.update(unread)
            if sample.system is None:
                survey.without_system.add(where)
            reason = unheld(sample, row_format, target)
            if reason is None or can_be_written(sample, target.format):
                survey.optional.update(row_format.optional(sample))
            if reason is None:
                continue
            if not target.allow_loss:
                raise _no_place(where, reason, target)
            survey.lost[reason] += 1
    survey.lost.update(_misread_system(survey, target))
    return survey


def _no_place(where: str, reason: str, target: Target) -> UserError:
    for_whom = f" for {target.framework}" if target.framework else ""
    return UserError(
        f"{where}: the row has {reason}, for which `{target.format}`{for_whom} has no place",
        hint="choose another format (`messages` holds everything), or go on with --allow-loss: "
        "what is lost is counted",
    )


def _misread_system(survey: Survey, target: Target) -> dict[str, int]:
    """Rows without a system message, where others have one and the framework tells none apart."""
    if "system" not in survey.optional or not misreads_no_system(target.framework, target.format):
        return {}
    places = survey.without_system
    reason = f"no system message while others have one ({NO_SYSTEM_READ_AS})"
    if places.count and not target.allow_loss:
        raise _no_place(places.first, reason, target)
    return {reason: places.count} if places.count else {}


def unheld(sample: Sample, row_format: RowFormat, target: Target) -> str | None:
    return row_format.unheld(sample) or unread_by(target.framework, target.format, sample)


def can_be_written(sample: Sample, format_name: str) -> bool:
    """Whether anything is left of a sample that has no place as a whole."""
    if format_name in ("sharegpt", "messages"):
        return True
    calls_tools = any(turn.role in ("tool", "tool_call") for turn in sample.turns)
    return sample.is_text == (format_name == "text") and not calls_tools
