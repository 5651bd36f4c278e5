"""From a training on the tape to what each counter will show."""

import functools

from bakeoff.predict.caching import replay
from bakeoff.predict.facts import CONTEXT_BYTES
from bakeoff.predict.heap import host_bytes
from bakeoff.predict.step import write_training
from bakeoff.predict.tape import Peak, Tape, peak_of
from bakeoff.predict.work import Work
from bakeoff.schema.prediction import Gpu, Part, PartName, Prediction, Source

_MIB = 1024**2
_RAGGED = (60, 75, 85, 50, 92, 100, 70, 100)
"""Per cent of the longest row, step by step: rows of real data differ, and blocks that were cached
for a shorter batch do not serve a longer one."""

_LUCK = 0.8
"""Share of the prediction that is surely needed: the largest error allowed is a quarter."""


@functools.lru_cache(maxsize=256)
def predict_analytic(work: Work, gpu: Gpu | None) -> Prediction:
    """From the model's configuration alone."""
    tape = write_training(work)
    reserved = None
    if gpu is not None:
        reserved = round(replay(tape).reserved_bytes * _raggedness(work, gpu.memory_bytes))
    return _prediction(work, gpu, tape, reserved, "analytic")


def predict_traced(work: Work, gpu: Gpu | None, tape: Tape) -> Prediction:
    """From the tape of the real step.

    Args:
        work: The training as the formulas see it: how much rows of different lengths add to what
            the allocator holds is taken from there.
        gpu: Where; None: on a CPU.
        tape: Steps of equal size.
    """
    reserved = None
    if gpu is not None:
        reserved = round(replay(tape).reserved_bytes * _raggedness(work, gpu.memory_bytes))
    return _prediction(work, gpu, tape, reserved, "trace")


def needed_alike(work: Work, other: Prediction) -> int:
    """What the driver would show, quickly.

    Tensors are those of ``work``; what comes beside them (blocks that the allocator keeps, the
    context) is taken from a training that differs in the number of devices alone, since replaying
    the allocator is what takes time.
    """
    return peak_of(write_training(work)).num_bytes + other.needed_bytes - other.allocated_bytes


def _prediction(
    work: Work, gpu: Gpu | None, tape: Tape, reserved: int | None, source: Source
) -> Prediction:
    peak = peak_of(tape)
    allocated = peak.num_bytes
    process = None
    if gpu is not None and reserved is not None:
        process = reserved + CONTEXT_BYTES[gpu.generation] * _MIB
    return Prediction(
        source=source,
        device="cuda" if gpu is not None else "cpu",
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        process_bytes=process,
        host_bytes=_host_bytes(tape, work) if gpu is None else None,
        low_bytes=round(allocated * _LUCK),
        peak_at=peak.moment,
        parts=_parts(peak),
        batch_rows=work.rows,
        row_tokens=work.tokens,
    )


def _host_bytes(tape: Tape, work: Work) -> int:
    return host_bytes(tape, gives_back=work.gives_back) + work.host_libraries_mib * _MIB


@functools.lru_cache(maxsize=256)
def _raggedness(work: Work, limit_bytes: int) -> float:
    """What torch's allocator holds for rows of different lengths over what for equal ones.

    Which of the two a training is nearer to depends on its data; the middle is taken. Near its
    limit a device gives back what is held and not used, so that caps the first.
    """
    even = replay(write_training(work)).reserved_bytes
    lengths = [max(1, work.tokens * share // 100) for share in _RAGGED]
    ragged = replay(write_training(work, lengths), limit_bytes=limit_bytes).reserved_bytes
    return (1 + max(1.0, min(ragged, max(limit_bytes, even)) / even)) / 2


def _parts(peak: Peak) -> tuple[Part, ...]:
    names: dict[str, PartName] = {name: name for name in PartName.__args__}  # type: ignore[attr-defined]
    return tuple(Part(name=names[name], num_bytes=size) for name, size in peak.parts.items())
