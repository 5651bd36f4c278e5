"""From a training on the tape to what each counter will show."""

import functools
from collections.abc import Sequence

from bakeoff.predict.caching import replay
from bakeoff.predict.facts import CONTEXT_BYTES
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

HOST_LIBRARIES_BYTES = 120 * _MIB
"""What a training on a CPU adds beside tensors: code that is loaded at the first use, compiled
kernels and scratch of oneDNN, rows and their tokens. Measured with a model of no size."""

HOST_SLACK = 1.05
"""malloc holds a little more than what lives in it: freed pieces too small for the next tensor."""


@functools.lru_cache(maxsize=256)
def predict_analytic(work: Work, gpu: Gpu | None) -> Prediction:
    """From the model's configuration alone."""
    even = write_training(work)
    ragged = None
    if gpu is not None:
        lengths = [max(1, work.tokens * share // 100) for share in _RAGGED]
        ragged = write_training(work, lengths)
    return prediction_of(even, ragged, gpu, source="analytic", batch=(work.rows, work.tokens))


def prediction_of(
    even: Tape,
    ragged: Tape | None,
    gpu: Gpu | None,
    *,
    source: Source,
    batch: tuple[int, int],
    assumptions: Sequence[str] = (),
) -> Prediction:
    """Every counter of one training.

    Args:
        even: Steps of equal size.
        ragged: Steps of different sizes; None: there are none.
        gpu: Where; None: on a CPU.
        source: Where the tapes come from.
        batch: Rows, and tokens of the longest, of the largest pass.
        assumptions: In words.
    """
    peak = peak_of(even)
    allocated = peak.num_bytes
    reserved = process = host = None
    if gpu is not None:
        reserved = reserved_bytes(even, ragged, gpu.memory_bytes)
        process = reserved + CONTEXT_BYTES[gpu.generation] * _MIB
    else:
        host = round(allocated * HOST_SLACK) + HOST_LIBRARIES_BYTES
    return Prediction(
        source=source,
        device="cuda" if gpu is not None else "cpu",
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        process_bytes=process,
        host_bytes=host,
        low_bytes=round(allocated * _LUCK),
        peak_at=peak.moment,
        parts=_parts(peak),
        batch_rows=batch[0],
        row_tokens=batch[1],
        assumptions=tuple(assumptions),
    )


def reserved_bytes(even: Tape, ragged: Tape | None, limit_bytes: int | None) -> int:
    """What torch's allocator holds: between rows of one length and rows of very different ones.

    Which of the two it is nearer to depends on the data; the middle is taken. Close to the limit
    the allocator gives back what it does not use, so the limit caps the second, not the first.
    """
    least = replay(even).reserved_bytes
    if ragged is None:
        return least
    most = replay(ragged, limit_bytes=limit_bytes).reserved_bytes
    if limit_bytes is not None:
        most = min(most, max(limit_bytes, least))
    return (least + max(most, least)) // 2


def _parts(peak: Peak) -> tuple[Part, ...]:
    names: dict[str, PartName] = {name: name for name in PartName.__args__}  # type: ignore[attr-defined]
    return tuple(Part(name=names[name], num_bytes=size) for name, size in peak.parts.items())
