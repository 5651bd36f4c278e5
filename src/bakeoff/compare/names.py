"""What a person calls a run: only what tells it from its neighbours."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Record

_METHODS = {"lora": "LoRA", "full": "full fine-tuning"}
_LEADING = ("model", "method", "backend", "strategy", "world_size")
_PLAIN = frozenset({"model", "method", "backend", "strategy"})
"""Axes whose value speaks for itself; any other is written `axis value`."""

BASE = "base model"


def is_base(record: Record) -> bool:
    """Whether an evaluation scored the untouched model."""
    return record.kind == "eval" and record.parent_run_id is None


def name_runs(records: Iterable[Record]) -> dict[str, str]:
    """A name for each run id; a training and the evaluations of its model share one.

    Equal cells (of two studies, say) are told apart by the end of the training's id.
    """
    records = list(records)
    trained = {_training_id(record): record for record in records if not is_base(record)}
    axes = varying_axes([record.cell for record in trained.values()])
    named = {run_id: name_cell(record.cell, axes) for run_id, record in trained.items()}
    times = Counter(named.values())
    sources = {record.provenance.model_source for record in records}
    names = {}
    for record in records:
        if is_base(record):
            source = record.provenance.model_source
            names[record.run_id] = BASE if len(sources) == 1 else f"{BASE} {source}"
        else:
            run_id = _training_id(record)
            ending = f" ({run_id[-6:]})" if times[named[run_id]] > 1 else ""
            names[record.run_id] = named[run_id] + ending
    return names


def _training_id(record: Record) -> str:
    return record.parent_run_id or record.run_id


def named_in_text(name: str) -> str:
    """With the article that English wants in the middle of a sentence."""
    return f"the {name}" if name.startswith(BASE) else name


def varying_axes(cells: Sequence[Mapping[str, AxisValue]]) -> tuple[str, ...]:
    """Axes with more than one value, the best known first, the seed last."""
    known = dict.fromkeys(axis for cell in cells for axis in cell)
    varying = [axis for axis in known if len({repr(cell.get(axis)) for cell in cells}) > 1]
    leading = [axis for axis in _LEADING if axis in varying]
    others = [axis for axis in varying if axis not in (*_LEADING, "seed")]
    return (*leading, *others, *(["seed"] if "seed" in varying else []))


def name_cell(cell: Mapping[str, AxisValue], axes: Sequence[str]) -> str:
    """`LoRA, swift, learning_rate 0.001, seed 1`: the method, then what varies."""
    wanted = [axis for axis in axes if axis in cell]
    if "method" in cell and "method" not in wanted:
        wanted.insert(0, "method")
    return ", ".join(_name_value(axis, cell[axis]) for axis in wanted) or "trained model"


def _name_value(axis: str, value: AxisValue) -> str:
    if axis == "method":
        return _METHODS.get(str(value), str(value))
    if axis in _PLAIN:
        return str(value)
    return f"{axis.rpartition('.')[2]} {value}"
