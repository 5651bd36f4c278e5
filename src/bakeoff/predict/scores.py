"""Predictions held against measurements."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from bakeoff.predict.caching import replay
from bakeoff.predict.facts import CONTEXT_BYTES
from bakeoff.predict.memory import predict_analytic
from bakeoff.predict.published import PublishedCase, case_of
from bakeoff.predict.step import write_training
from bakeoff.predict.work import Work
from bakeoff.schema.prediction import Counter, FitBench, ScoredCase, SourceScore

_MIB = 1024**2


def score(case: str, source: str, counter: Counter, *, predicted: int, measured: int) -> ScoredCase:
    return ScoredCase(
        case=case,
        source=source,
        counter=counter,
        predicted_bytes=predicted,
        measured_bytes=measured,
        relative_error=round((predicted - measured) / measured, 4),
    )


def score_published(
    rows: Iterable[Mapping[str, str]], *, source: str
) -> tuple[list[ScoredCase], dict[str, int]]:
    """Each row that can be, on the counter that it names; why others are left out."""
    scored: list[ScoredCase] = []
    left_out: dict[str, int] = {}
    for row in rows:
        found = case_of(row)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
            continue
        predicted = _predicted(found)
        scored.append(
            score(
                found.name,
                source,
                found.counter,
                predicted=predicted,
                measured=found.measured_bytes,
            )
        )
    return scored, left_out


def _predicted(case: PublishedCase) -> int:
    if case.is_steady:
        return _steady(case.work)
    if case.is_even and case.counter != "allocated":
        held = replay(write_training(case.work)).reserved_bytes
        context = CONTEXT_BYTES[case.gpu.generation] * _MIB
        return held + (context if case.counter == "process" else 0)
    found = predict_analytic(case.work, case.gpu)
    values = {
        "allocated": found.allocated_bytes,
        "reserved": found.reserved_bytes,
        "process": found.process_bytes,
    }
    return values[case.counter] or 0


def _steady(work: Work) -> int:
    """Between steps: weights, gradients until they are cleared, and the optimiser's state."""
    adapters = 4 * work.adapter_numbers * work.adapter_bytes
    trained = work.trained_numbers * (work.weight_bytes + 2 * work.state_bytes)
    return round(work.stored_weight_bytes + adapters + trained + work.workspace_bytes)


def summarise(cases: Sequence[ScoredCase], left_out: Mapping[str, int] | None = None) -> FitBench:
    """With median and worst error of each source."""
    names = list(dict.fromkeys(case.source for case in cases))
    return FitBench(
        cases=tuple(cases),
        sources=tuple(_of_source(name, cases) for name in names),
        left_out=dict(left_out or {}),
    )


def _of_source(name: str, cases: Sequence[ScoredCase]) -> SourceScore:
    errors = [case.relative_error for case in cases if case.source == name]
    return SourceScore(
        source=name,
        num_cases=len(errors),
        median_error=round(statistics.median(abs(error) for error in errors), 4),
        worst_error=round(max(abs(error) for error in errors), 4),
        share_under=round(sum(error < 0 for error in errors) / len(errors), 4),
    )
