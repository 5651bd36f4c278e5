"""Predicted changes of speed held against published ones."""

import statistics
from collections.abc import Iterator
from dataclasses import replace

from bakeoff.predict.duration import flops_per_token
from bakeoff.predict.facts import shards_of
from bakeoff.predict.gpus import find_gpu
from bakeoff.predict.links import cluster_named
from bakeoff.predict.published_speeds import SERIES, Row, Series
from bakeoff.predict.step_time import exchanged_of, step_time
from bakeoff.predict.work import Work
from bakeoff.schema.simulation import Cluster, SimulatorBench, SpeedScore


def score_speeds() -> SimulatorBench:
    """Every row but the first of each series."""
    cases = tuple(case for series in SERIES for case in _scores(series))
    errors = [abs(case.relative_error) for case in cases]
    return SimulatorBench(
        cases=cases,
        median_error=round(statistics.median(errors), 4),
        worst_error=round(max(errors), 4),
        unchanged_error=round(statistics.median(abs(1 / c.published_ratio - 1) for c in cases), 4),
    )


def _scores(series: Series) -> Iterator[SpeedScore]:
    first = series.rows[0]
    work = _work(series, first)
    speed = find_gpu(series.gpu).bf16_tflops * 1e12
    reached = first.tokens_per_second * flops_per_token(work) / speed
    base = _predicted(series, first, reached)
    for row in series.rows[1:]:
        published = row.tokens_per_second / first.tokens_per_second
        predicted = _predicted(series, row, reached) / base
        yield SpeedScore(
            source=series.source,
            case=f"{series.name}: {_named(first)} to {_named(row)}",
            published_ratio=round(published, 4),
            predicted_ratio=round(predicted, 4),
            relative_error=round(predicted / published - 1, 4),
        )


def _named(row: Row) -> str:
    links = "".join(f", {link}" for link in (row.inside, row.between) if link is not None)
    return f"{row.strategy} on {row.num_devices}, {row.num_passes} passes of {row.rows}{links}"


def _cluster(series: Series, row: Row) -> Cluster:
    gpu = find_gpu(series.gpu)
    return cluster_named(gpu, devices_per_node=8, inside=row.inside, between=row.between)


def _work(series: Series, row: Row) -> Work:
    return Work(
        shape=series.shape,
        rows=row.rows,
        tokens=series.tokens,
        accumulation=row.num_passes,
        trains_all=True,
        weight_bytes=2,
        state_bytes=4,
        checkpointing=series.checkpointing,
        shards=shards_of(row.strategy, row.num_devices),
    )


def _predicted(series: Series, row: Row, reached: float) -> float:
    """Tokens a second of a device."""
    work = _work(series, row)
    exchanged = exchanged_of(work, row.strategy, row.num_devices)
    gradients = exchanged.gradient_bytes * series.gradient_bytes / work.weight_bytes
    exchanged = replace(exchanged, gradient_bytes=gradients)
    seconds = step_time(work, exchanged, _cluster(series, row), reached).total
    return work.all_tokens * row.num_passes / seconds
