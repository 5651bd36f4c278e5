"""A run's effective settings beside what its trainer does by default; settings of several runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.backends.frameworks.defaults import defaults_of
from bakeoff.compare.names import backend_title
from bakeoff.report.settings import flatten
from bakeoff.schema.record import Record


@dataclass(frozen=True)
class Setting:
    key: str
    value: str
    default: str | None
    """Of the trainer; None where it has none that is known."""

    @property
    def differs(self) -> bool:
        return self.default is not None and self.default != self.value


@dataclass(frozen=True)
class RunSettings:
    trainer: str
    """Whose defaults these are; empty for an evaluation."""

    settings: tuple[Setting, ...]

    @property
    def num_differing(self) -> int:
        return sum(setting.differs for setting in self.settings)


def settings_of_run(record: Record) -> RunSettings:
    """What differs from the trainer's defaults first."""
    flat = flatten(record.effective)
    backend = str(record.cell.get("backend", "")) if record.kind == "train" else ""
    defaults = flatten(dict(defaults_of(backend, str(record.cell.get("method", "")))))
    found = [Setting(key, value, _alike(defaults.get(key), value)) for key, value in flat.items()]
    found.sort(key=lambda setting: not setting.differs)
    return RunSettings(backend_title(backend) if backend else "", tuple(found))


def _alike(default: str | None, value: str) -> str | None:
    """Written as the value is: 16 and 16.0 are one number."""
    if default is None:
        return None
    try:
        equal = float(default.replace(",", "")) == float(value.replace(",", ""))
    except ValueError:
        return default
    return value if equal else default


@dataclass(frozen=True)
class SettingsLine:
    key: str
    values: tuple[str | None, ...]


def settings_diff(records: Sequence[Record]) -> tuple[list[SettingsLine], int]:
    """Settings that are not the same in all, and how many are."""
    flats: list[Mapping[str, str]] = [flatten(record.effective) for record in records]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    lines = [SettingsLine(key, tuple(flat.get(key) for flat in flats)) for key in keys]
    differing = [line for line in lines if len(set(line.values)) > 1]
    return differing, len(lines) - len(differing)
