"""Records of a cell's repeats become its figures."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bakeoff.bench.settings import Chosen
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.schema.bench import BenchCell, Setting
from bakeoff.schema.recipe_train import Method
from bakeoff.schema.record import Measurement, Record


@dataclass
class TrainedCell:
    """One backend in one setting, and what came of it."""

    backend: str
    setting: Setting
    method: Method
    chosen: Chosen
    study: PreparedStudy
    records: list[Record | str] = field(default_factory=list)
    """One a repeat; words where there is none."""


def bench_cell(cell: TrainedCell) -> BenchCell:
    found = [record if isinstance(record, Record) else None for record in cell.records]
    measured = [record.measurement if record is not None else None for record in found]
    peaks = [peak_host_bytes(m) if m is not None else None for m in measured]
    device = [m.peak_device_allocated_bytes if m is not None else None for m in measured]
    return BenchCell(
        backend=cell.backend,
        setting=cell.setting,
        method=cell.method,
        seconds=tuple(m.train_seconds if m is not None else None for m in measured),
        start_seconds=tuple(m.setup_seconds if m is not None else None for m in measured),
        peak_host_bytes=tuple(peaks),
        added_host_bytes=tuple(m.added_host_bytes if m is not None else None for m in measured),
        peak_device_bytes=tuple(device) if any(device) else (),
        train_loss=tuple(_mean_loss(record) for record in found),
        digest=_same(r.effective.get("batch_digest") for r in found if r is not None),
        facts=_facts([record for record in found if record is not None]),
        settings=cell.chosen.values,
        why=cell.chosen.why,
        runs=tuple(
            f"repeat-{index}/{record.run_id}" if record is not None else None
            for index, record in enumerate(found, start=1)
        ),
        failures=tuple(record for record in cell.records if isinstance(record, str)),
    )


def peak_host_bytes(measured: Measurement) -> int | None:
    """The kernel's high-water mark, which misses no short peak; samples where it keeps none."""
    return measured.high_water_host_bytes or measured.peak_host_bytes


_FACTS = (
    "num_steps", "rows_per_step", "batch_size", "learning_rate", "device", "weight_dtype",
    "trained_dtype", "optimizer_dtype", "autocast", "num_trained_parameters", "num_torch_threads",
    "attention", "gradient_checkpointing", "optimizer",
)  # fmt: skip


def _facts(records: Sequence[Record]) -> dict[str, Any]:
    """What all repeats have alike."""
    if not records:
        return {}
    facts = {name: _same(r.effective.get(name) for r in records) for name in _FACTS}
    for name in ("num_examples", "num_train_tokens", "num_label_tokens"):
        facts[name] = _same(getattr(r.data, name) if r.data is not None else None for r in records)
    facts["packages"] = records[0].provenance.packages
    return facts


def _same(values: Iterable[Any]) -> Any:
    found = list(values)
    return found[0] if found and all(value == found[0] for value in found) else None


def _mean_loss(record: Record | None) -> float | None:
    if record is None:
        return None
    losses = [p.loss for p in record.losses if p.split == "train" and p.loss is not None]
    return fmean(losses) if losses else None


_NOTED_LOSS_SHARE = 0.01


def loss_notes(cells: Sequence[BenchCell]) -> Iterator[str]:
    """Whoever learns otherwise from the same rows may be fast by doing something else."""
    for method in dict.fromkeys(cell.method for cell in cells):
        losses = [loss for c in cells if c.method == method for loss in c.train_loss if loss]
        if losses and not math.isclose(max(losses), min(losses), rel_tol=_NOTED_LOSS_SHARE):
            yield (
                f"{method}: mean train losses lie between {min(losses):.4f} and "
                f"{max(losses):.4f}; `bakeoff parity` says what differs"
            )
