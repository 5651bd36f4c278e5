"""Timeline + events -> Measurement."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from bakeoff.measure.devices import device_costs, energy_of, peak_added_bytes
from bakeoff.measure.phases import (
    CALIBRATE,
    SETUP_PHASES,
    WORK_PHASES,
    Attempt,
    Samples,
    Span,
    host_bytes_at,
    last_that_worked,
    phase_costs,
    process_bytes,
    spans_of,
    total_seconds,
)
from bakeoff.measure.steps import StepTimes, rate, step_times, total
from bakeoff.schema.events import Event
from bakeoff.schema.record import Measurement


def summarise(
    events: Sequence[Event],
    timeline: Samples,
    attempts: Sequence[Attempt],
    *,
    num_generated_tokens: int | None = None,
) -> Measurement:
    """Measure one run.

    Time is by the worker's own marks and memory by the samples from outside. Steps that were done
    twice, because a kill threw away what came after the last checkpoint, count once, in their last
    doing; the wall time counts every attempt.

    Args:
        events: Of all attempts, in order.
        timeline: Samples of all attempts, in order.
        attempts: At least one, in order.
        num_generated_tokens: Of an evaluation.
    """
    steps = step_times(events)
    # An evaluation that was killed begins anew: what its last attempt took is what it takes.
    spans = spans_of(events, attempts if steps.all else last_that_worked(events, attempts))
    samples = _before_calibration(timeline, spans)
    wall = sum(attempt.ended_at - attempt.started_at for attempt in attempts)
    return Measurement.model_validate(
        {
            "wall_seconds": wall - (total_seconds(spans, CALIBRATE) or 0.0),
            "setup_seconds": total_seconds(spans, *SETUP_PHASES),
            "save_seconds": total_seconds(spans, "save"),
            "validate_seconds": total_seconds(spans, "validate"),
            "phases": phase_costs(spans, steps, samples),
            **_work(steps, spans, num_generated_tokens),
            **_host_memory(events, samples),
            "peak_device_process_bytes": max(
                filter(None, map(process_bytes, samples)), default=None
            ),
            "peak_device_added_bytes": peak_added_bytes(samples),
            "devices": device_costs(samples),
            **_energy(samples, attempts),
            "sampling_interval_seconds": _median_interval(samples),
            "num_attempts": len(attempts),
        }
    )


def _before_calibration(timeline: Samples, spans: Sequence[Span]) -> Samples:
    extra = [span for span in spans if span.phase == CALIBRATE]
    return [s for s in timeline if not any(e.begins <= s["at"] <= e.ends for e in extra)]


def _work(
    steps: StepTimes, spans: Sequence[Span], num_generated_tokens: int | None
) -> dict[str, Any]:
    seconds = [step.seconds for step in steps.all if step.seconds is not None]
    train_seconds = sum(seconds) if seconds else total_seconds(spans, "train")
    evaluate_seconds = total_seconds(spans, "evaluate")
    num_tokens = total(step.num_tokens for step in steps.all) or num_generated_tokens
    work_seconds = train_seconds or evaluate_seconds
    steady = steps.steady
    return {
        "train_seconds": train_seconds,
        "evaluate_seconds": evaluate_seconds,
        "first_step_seconds": steps.first[0].seconds if steps.first else None,
        "step_seconds_median": statistics.median(seconds) if seconds else None,
        "num_steps": len(steps.all) or None,
        "num_steady_steps": len(steady) or None,
        "num_tokens": num_tokens,
        "num_label_tokens": total(step.num_label_tokens for step in steps.all),
        "tokens_per_second": num_tokens / work_seconds if num_tokens and work_seconds else None,
        "steady_tokens_per_second": rate(steady, (step.num_tokens for step in steady)),
        "label_tokens_per_second": rate(steady, (step.num_label_tokens for step in steady)),
        "samples_per_second": rate(steady, (step.num_rows for step in steady)),
    }


def _host_memory(events: Sequence[Event], samples: Samples) -> dict[str, Any]:
    marks = [sample["high_water_bytes"] for sample in samples if "high_water_bytes" in sample]
    return {
        "peak_host_bytes": max((int(sample["host_bytes"]) for sample in samples), default=None),
        "high_water_host_bytes": max(marks, default=None),
        "host_memory_counter": samples[-1]["counter"] if samples else None,
        "start_host_bytes": host_bytes_at(events, samples, "load_model"),
        "loaded_host_bytes": host_bytes_at(events, samples, *WORK_PHASES),
    }


def _energy(samples: Samples, attempts: Sequence[Attempt]) -> dict[str, Any]:
    readings = energy_of(samples, attempts)
    joules = sum(reading.joules for reading in readings) if readings else None
    return {"energy": readings, "energy_joules": joules}


def _median_interval(samples: Samples) -> float | None:
    gaps = [after["at"] - before["at"] for before, after in itertools.pairwise(samples)]
    return round(statistics.median(gaps), 3) if gaps else None
