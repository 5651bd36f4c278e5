"""Tables of what was used: settings, data, machine, failures."""

from collections.abc import Mapping, Sequence
from typing import Any

from bakeoff.compare import numbers
from bakeoff.report.table import Cell, Column, Table, cells
from bakeoff.schema.record import Record

_LONGEST_VALUE = 200
_NOT_SHOWN = ("asked", "task_config")
"""What a failed run was asked is in the recipe; a task's configuration is the harness's own."""


def settings_tables(records: Sequence[Record], names: Mapping[str, str]) -> list[tuple[str, Table]]:
    """Of runs of one kind: what differs (a line a run), then what all share (a line a setting).

    Returns:
        (heading, table) for each that is not empty.
    """
    flat = {record.run_id: flatten(record.effective) for record in records}
    flat = {run_id: settings for run_id, settings in flat.items() if settings}
    if not flat:
        return []
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    differing = [key for key in keys if len({s.get(key) for s in flat.values()}) > 1]
    tables = []
    if differing:
        columns = [Column("Run", "left"), *(Column(key) for key in differing)]
        lines = [
            [Cell(names[run_id]), *(_value_cell(settings.get(key)) for key in differing)]
            for run_id, settings in flat.items()
        ]
        tables.append(("Where they differ", Table(columns, lines, key="differing")))
    first = next(iter(flat.values()))
    shared = [cells(key, first[key]) for key in keys if key not in differing]
    if shared:
        columns = [Column("Setting", "left"), Column("Value", "left")]
        heading = "The same for all" if len(flat) > 1 else "All"
        tables.append((heading, Table(columns, shared, key="shared", kept_wide=True)))
    return tables


def _value_cell(text: str | None) -> Cell:
    return Cell(numbers.MISSING if text is None else text, "mark")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings under dotted names, values as short text."""
    flat = {}
    for key, value in settings.items():
        if not prefix and key in _NOT_SHOWN:
            continue
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _as_text(value)
    return flat


def _as_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return numbers.count(value) if abs(value) >= 100_000 else str(value)
    if isinstance(value, list | tuple):
        return _shortened(", ".join(map(repr_text, value))) or "none"
    return _shortened(str(value))


def repr_text(value: Any) -> str:
    """A text with its line breaks visible: stop strings are often nothing else."""
    return repr(value)[1:-1] if isinstance(value, str) else str(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def data_table(records: Sequence[Record], names: Mapping[str, str]) -> Table | None:
    """What each training saw; one line for those that saw the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        if record.kind == "train" and (facts := record.data) is not None:
            values = (
                numbers.count(facts.num_examples),
                numbers.count(facts.num_train_tokens),
                numbers.count(facts.num_label_tokens),
                numbers.count(facts.num_truncated),
                numbers.count(facts.num_dropped),
                numbers.count(facts.num_overlapping),
                facts.digest[:12],
            )
            groups.setdefault(values, []).append(names[record.run_id])
    if not groups:
        return None
    columns = [
        Column("Trainings", "left"),
        Column("Rows"),
        Column("Tokens a pass"),
        Column("Of them learned"),
        Column("Rows cut"),
        Column("Rows dropped"),
        Column("Test questions in training"),
        Column("Digest", "left"),
    ]
    lines = [[Cell(_listed(who, len(groups))), *cells(*what)] for what, who in groups.items()]
    return Table(columns, lines, key="data")


def _listed(who: Sequence[str], num_groups: int) -> str:
    if num_groups == 1:
        return "all" if len(who) > 1 else who[0]
    return ", ".join(who) if len(who) <= 3 else f"{', '.join(who[:2])} and {len(who) - 2} more"


def shots(record: Record) -> str:
    """`0-shot`, of an evaluation."""
    counts = sorted({score.num_fewshot for score in record.scores})
    return f"{', '.join(map(str, counts))}-shot" if counts else "evaluation"


def provenance_table(records: Sequence[Record]) -> Table:
    """Everything needed to get it again: one line where all runs agree, all values where not."""
    facts: dict[str, dict[str, None]] = {}
    for record in records:
        for key, value in _provenance(record).items():
            if value is not None and value != "":
                facts.setdefault(key, {})[str(value)] = None
    lines = [cells(key, "; ".join(values)) for key, values in facts.items()]
    columns = [Column("What", "left"), Column("Value", "left")]
    return Table(columns, lines, key="provenance", kept_wide=True)


def _provenance(record: Record) -> dict[str, Any]:
    found = record.provenance
    hardware = found.hardware
    dirty = " with local changes" if found.git_dirty else ""
    return {
        "bakeoff": found.bakeoff_version,
        "git commit": f"{found.git_commit}{dirty}" if found.git_commit else None,
        "packages": ", ".join(f"{name} {version}" for name, version in found.packages.items()),
        "lock digest": found.lock_digest,
        "model": found.model_source,
        "model revision": found.model_revision,
        "model digest": found.model_digest,
        "data digest": found.data_digest,
        "prompt template digest": found.template_digest,
        "training seed": record.cell.get("seed"),
        "evaluation seed": record.effective.get("seed") if record.kind == "eval" else None,
        "GPU": ", ".join(map(str, hardware.get("gpus") or [])),
        "driver": found.driver,
        "CPU": _cpu(hardware),
        "host memory": numbers.num_bytes(hardware["host_memory_bytes"])
        if hardware.get("host_memory_bytes")
        else None,
        "system": hardware.get("system"),
        **{
            name: value
            for name, value in found.environment.items()
            if record.run_id not in value  # a place in the run's own folder tells nobody anything
        },
    }


def _cpu(hardware: Mapping[str, Any]) -> str | None:
    cores = hardware.get("num_usable_cpu_cores")
    parts = [hardware.get("cpu"), f"{cores} cores" if cores else None]
    return ", ".join(str(part) for part in parts if part) or None
