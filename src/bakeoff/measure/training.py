"""What needs more than events and samples: operations, utilisation, the kernel's marks, cost."""

from collections.abc import Sequence
from typing import Any

from bakeoff.schema.recipe_machine import MeasureSpec
from bakeoff.schema.record import Measurement, RankPeak
from bakeoff.schema.results import TrainResult


def with_ranks(measured: Measurement, ranks: Sequence[RankPeak]) -> Measurement:
    """The inside view of each process.

    Samples end before the process does, so that its own last high-water mark may be above theirs.
    """
    marks = [max(filter(None, (r.host_bytes, r.load_host_bytes)), default=None) for r in ranks]
    known = [mark for mark in marks if mark is not None]
    outside = measured.high_water_host_bytes
    inside = sum(known) if known and len(known) == len(ranks) else None
    return measured.model_copy(
        update={
            "high_water_host_bytes": max(filter(None, (outside, inside)), default=None),
            "added_host_bytes": _added(measured, ranks, inside),
            "peak_device_allocated_bytes": _largest(r.device_allocated_bytes for r in ranks),
            "peak_device_reserved_bytes": _largest(r.device_reserved_bytes for r in ranks),
            "peak_by_rank": tuple(ranks),
        }
    )


def _added(measured: Measurement, ranks: Sequence[RankPeak], marks: int | None) -> int | None:
    starts = [rank.start_host_bytes for rank in ranks if rank.start_host_bytes is not None]
    if marks is not None and len(starts) == len(ranks):
        return marks - sum(starts)
    peak, start = measured.peak_host_bytes, measured.start_host_bytes
    return peak - start if peak is not None and start is not None else None


def with_flops(
    measured: Measurement, result: TrainResult, matmul_flops_per_second: float | None
) -> Measurement:
    """Operations needed by the tokens that were trained on, and the share of the peak reached."""
    flops = _model_flops(measured, result)
    mfu = None
    if flops and matmul_flops_per_second and measured.steady_tokens_per_second:
        per_token = flops / (measured.num_tokens or 1)
        peak = matmul_flops_per_second * measured.num_processes
        mfu = round(per_token * measured.steady_tokens_per_second / peak, 4)
    return measured.model_copy(
        update={
            "model_flops": flops,
            "matmul_flops_per_second": matmul_flops_per_second,
            "mfu": mfu,
        }
    )


def _model_flops(measured: Measurement, result: TrainResult) -> float | None:
    """Pairs of tokens are counted for one pass; of a part of it they are taken to be as many."""
    factors = result.flops_per_token, result.flops_per_label_token, result.flops_per_token_pair
    tokens, labels, pairs = measured.num_tokens, measured.num_label_tokens, result.num_token_pairs
    if tokens is None or labels is None or pairs is None or None in factors:
        return None
    counts = tokens, labels, pairs * tokens / result.num_train_tokens
    return sum(factor * count for factor, count in zip(factors, counts, strict=True) if factor)


def with_cost(measured: Measurement, spec: MeasureSpec) -> Measurement:
    """At the recipe's price; as it was where there is none."""
    if spec.price_per_hour is None:
        return measured
    cost = round(measured.wall_seconds / 3600 * spec.price_per_hour, 4)
    return measured.model_copy(update={"cost": cost, "currency": spec.currency})


def _largest(values: Any) -> int | None:
    return max((value for value in values if value is not None), default=None)
