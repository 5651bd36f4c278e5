"""Holds the probes of several backends against each other and against the reference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from bakeoff.compare.parity_causes import cause_of
from bakeoff.schema.parity import (
    CellParity,
    Difference,
    ParameterGroup,
    Parity,
    Probe,
    ProbedCell,
    ProbedRow,
    ProbedRun,
    ProbedStep,
    Reference,
)

REFERENCE = "reference"
LOSS_TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2, "bf16-mixed": 2e-2}
"""Of the relative difference to the reference; bf16 keeps 8 bits of a number."""

_CURVE_DEVIATIONS = 2.0
"""Curves overlap where their means lie within so many deviations between seeds."""

Curves = Mapping[str, Sequence[tuple[float, ...]]]


def compare_probes(study: str, cells: Sequence[ProbedCell]) -> Parity:
    """What is equal and what is not, with the cause where it is known."""
    compared = [_compare(cell) for cell in cells]
    differences = (difference for cell in compared for difference in cell.differences)
    return Parity(
        study=study,
        backends=tuple(dict.fromkeys(name for cell in compared for name in cell.backends)),
        tokens_equal=all(cell.tokens_equal for cell in compared),
        labels_equal=all(cell.labels_equal for cell in compared),
        step0_loss=compared[0].step0_loss,
        differences=tuple({d.model_dump_json(): d for d in differences}.values()),
        cells=tuple(compared),
    )


def _compare(cell: ProbedCell) -> CellParity:
    runs, reference = cell.runs, cell.reference
    failed: dict[str, str] = {}
    for run in runs:
        if run.error is not None:
            failed.setdefault(run.backend, run.error)
    first: dict[str, ProbedRun] = {}
    curves: dict[str, list[tuple[float, ...]]] = {}
    for run in runs:
        if run.backend not in failed and run.probe is not None:
            first.setdefault(run.backend, run)
            curves.setdefault(run.backend, []).append(run.losses)
    probes = {name: run.probe for name, run in first.items() if run.probe is not None}
    token_differences = list(_row_differences(probes, reference))
    return CellParity(
        cell=cell.cell,
        backends=tuple(first),
        tokens_equal=_equal(probes, reference, lambda row: row.token_ids),
        labels_equal=_equal(probes, reference, lambda row: row.labels),
        step0_loss={REFERENCE: reference.loss}
        | {name: run.losses[0] for name, run in first.items() if run.losses},
        num_tokens={n: tuple(_num_tokens(s) for s in p.steps) for n, p in probes.items()},
        num_labels={n: tuple(_num_labels(s) for s in p.steps) for n, p in probes.items()},
        losses={name: tuple(several) for name, several in curves.items()},
        differences=(
            *token_differences,
            *_loss_differences(first, reference, LOSS_TOLERANCE[cell.precision]),
            *_setting_differences(first, probes),
            *_curve_differences(curves, LOSS_TOLERANCE[cell.precision]),
        ),
        failed=failed,
        first_rows={n: p.steps[0].rows[0] for n, p in probes.items() if p.steps},
    )


def _equal(
    probes: Mapping[str, Probe],
    reference: Reference,
    part: Callable[[ProbedRow], tuple[int, ...]],
) -> bool:
    """Whether all steps of all backends are alike, and the first one is the reference's.

    A step is a sum over its rows, whatever their order.
    """
    steps = [
        [sorted(part(row) for row in step.rows) for step in probe.steps]
        for probe in probes.values()
    ]
    first = sorted(part(row) for row in reference.rows)
    return bool(steps) and all(one == steps[0] for one in steps) and steps[0][:1] == [first]


def _row_differences(probes: Mapping[str, Probe], reference: Reference) -> Iterator[Difference]:
    """Of the rows of the first step; where only their order differs, that is what is said."""
    wanted = list(reference.rows)
    found = {name: list(probe.steps[0].rows) for name, probe in probes.items() if probe.steps}
    wrong = {name: rows for name, rows in found.items() if rows != wanted}
    if not wrong:
        later = {
            name: tuple(tuple(sorted(step.rows, key=repr)) for step in probe.steps)
            for name, probe in probes.items()
        }
        if len(set(later.values())) > 1:
            yield _difference("rows after the first step", dict.fromkeys(later, "differ"), "result")
        return
    if all(sorted(rows, key=repr) == sorted(wanted, key=repr) for rows in wrong.values()):
        values = {name: "another order" if name in wrong else "the recipe's" for name in found}
        yield _difference("order of rows within a step", values, "cost")
        return
    for what, part in (("token ids", "token_ids"), ("labels", "labels")):
        places = {name: _first_unlike(rows, wanted, part) for name, rows in found.items()}
        if any(places.values()):
            values = {name: place or "as the reference" for name, place in places.items()}
            yield _difference(what, values, "result")


def _first_unlike(rows: list[ProbedRow], wanted: list[ProbedRow], part: str) -> str | None:
    if len(rows) != len(wanted):
        return f"{len(rows)} rows, not {len(wanted)}"
    for number, (row, other) in enumerate(zip(rows, wanted, strict=True), start=1):
        own, right = getattr(row, part), getattr(other, part)
        if own != right:
            same = next(
                (i for i, (a, b) in enumerate(zip(own, right, strict=False)) if a != b),
                min(len(own), len(right)),
            )
            return (
                f"row {number}, token {same + 1}: {list(own[same : same + 4])} in place of "
                f"{list(right[same : same + 4])} ({len(own)} tokens, not {len(right)})"
            )
    return None


def _loss_differences(
    first: Mapping[str, ProbedRun], reference: Reference, tolerance: float
) -> Iterator[Difference]:
    relative = {
        name: run.losses[0] / reference.loss - 1 for name, run in first.items() if run.losses
    }
    if any(not abs(value) <= tolerance for value in relative.values()):
        values = {name: f"{value:+.2%} of the reference" for name, value in relative.items()}
        yield _difference("loss before the first step", values, "result")


_Getter = Callable[[ProbedRun, Probe], Any]


def _of_groups(part: Callable[[ParameterGroup], Any]) -> _Getter:
    """The values of the first step's parameter groups; usually one."""

    def get(_: ProbedRun, probe: Probe) -> Any:
        values = [part(group) for group in probe.steps[0].groups if group.num_parameters]
        return ", ".join(dict.fromkeys(str(value) for value in values))

    return get


def _of_adapter(key: str) -> _Getter:
    return lambda _, probe: None if probe.adapter is None else probe.adapter[key]


_RESULT_SETTINGS: dict[str, _Getter] = {
    "end-of-sequence token": lambda _, probe: probe.eos_token_id,
    "learning rates": lambda _, probe: [f"{s.groups[0].learning_rate:.6g}" for s in probe.steps],
    "optimiser": lambda _, probe: probe.steps[0].optimizer,
    "betas": _of_groups(lambda group: group.betas),
    "epsilon": _of_groups(lambda group: group.epsilon),
    "decayed parameters by weight decay": lambda _, probe: _decay(probe.steps[0]),
    "gradient clipping": lambda run, _: run.effective.get("max_grad_norm"),
    "trained parameters": lambda _, probe: sum(probe.trained_dtypes.values()),
    "format of trained weights": lambda _, probe: sorted(probe.trained_dtypes),
    "format of frozen weights": lambda _, probe: sorted(probe.frozen_dtypes),
    "format of the optimiser's state": lambda _, probe: sorted(probe.steps[0].optimizer_dtypes),
    "adapter: rank": _of_adapter("rank"),
    "adapter: alpha": _of_adapter("alpha"),
    "adapter: dropout": _of_adapter("dropout"),
    "adapter: layers": _of_adapter("layers"),
    "adapter: bias": _of_adapter("bias"),
    "adapter: rsLoRA": _of_adapter("use_rslora"),
    "adapter: DoRA": _of_adapter("use_dora"),
    "adapter: initial values": _of_adapter("init"),
}
_COST_SETTINGS: dict[str, _Getter] = {
    "gradient checkpointing": lambda _, probe: probe.gradient_checkpointing,
    "logits are computed for": lambda _, probe: _logits_at(probe.steps[0]),
}


def _setting_differences(
    first: Mapping[str, ProbedRun], probes: Mapping[str, Probe]
) -> Iterator[Difference]:
    usable = {name: probe for name, probe in probes.items() if probe.steps}
    for affects, settings in (("result", _RESULT_SETTINGS), ("cost", _COST_SETTINGS)):
        for what, getter in settings.items():
            values = {name: str(getter(first[name], probe)) for name, probe in usable.items()}
            if len(set(values.values())) > 1:
                yield _difference(what, values, affects)


def _decay(step: ProbedStep) -> dict[float | None, int]:
    counts: dict[float | None, int] = {}
    for group in step.groups:
        # A decay of 0 does nothing, whatever it is done to.
        if group.weight_decay:
            counts[group.weight_decay] = counts.get(group.weight_decay, 0) + group.num_parameters
    return counts


def _logits_at(step: ProbedStep) -> str:
    """Told from how many places there were."""
    if step.num_logit_places <= _num_labels(step):
        return "label tokens"
    return (
        "all tokens"
        if step.num_logit_places >= _num_tokens(step)
        else "tokens from the first label on"
    )


def _curve_differences(curves: Curves, tolerance: float) -> Iterator[Difference]:
    """Whether the mean curves of the seeds lie apart by more than seeds do, and than rounding does.

    Needs two seeds at least. The spread of a step is the larger of the two backends' standard
    deviations between seeds; it is nothing where a step takes all rows, whatever the seed.
    """
    usable = {name: several for name, several in curves.items() if len(several) > 1}
    names = list(usable)
    apart: dict[str, str] = {}
    for index, name in enumerate(names):
        for other in names[:index]:
            text = _apart(usable[other], usable[name], tolerance)
            if text is not None:
                apart[f"{other} and {name}"] = text
    if apart:
        yield _difference("loss curves over the seeds", apart, "result")


def _apart(
    a: Sequence[tuple[float, ...]], b: Sequence[tuple[float, ...]], tolerance: float
) -> str | None:
    steps = zip(zip(*a, strict=True), zip(*b, strict=True), strict=False)
    for number, (ours, theirs) in enumerate(steps, start=1):
        gap = abs(fmean(ours) - fmean(theirs))
        spread = max(stdev(ours), stdev(theirs))
        if gap > max(_CURVE_DEVIATIONS * spread, tolerance * fmean(ours)):
            return (
                f"step {number}: {fmean(ours):.4f} and {fmean(theirs):.4f}, while seeds spread by "
                f"{spread:.4f}"
            )
    return None


def _num_tokens(step: ProbedStep) -> int:
    return sum(len(row.token_ids) for row in step.rows)


def _num_labels(step: ProbedStep) -> int:
    """Labels that a next-token prediction can learn: all but that of a row's first token."""
    return sum(label >= 0 for row in step.rows for label in row.labels[1:])


def _difference(what: str, values: Mapping[str, str], affects: str) -> Difference:
    return Difference.model_validate(
        {
            "what": what,
            "values": dict(values),
            "cause": cause_of(what, values),
            "affects": affects,
        }
    )
