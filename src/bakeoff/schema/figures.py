"""The one score and the one peak that stand for a run, everywhere the same."""

from collections.abc import Sequence

from bakeoff.schema.record import Measurement, Score

HEADLINE_FILTER = "strict-match"


def headline(scores: Sequence[Score]) -> Score:
    """The score that stands for a task: `strict-match` where there is one, else the first.

    GSM8K and its like score twice. `strict-match` wants the answer in the form that the training
    data teaches (`#### 42`), which is what a fine-tuned model is asked to do and what published
    GSM8K figures mean; `flexible-extract` takes the last number of any text, so that it counts
    luck and cut-off answers too. Both are shown, because part of a strict gain is mere form.
    """
    # A group's own score stands before those of its tasks.
    own = [score for score in scores if score.task == scores[0].task]
    strict = [score for score in own if score.filter == HEADLINE_FILTER]
    return (strict or own)[0]


def peak_memory(measured: Measurement | None) -> tuple[int | None, str | None]:
    """Peak bytes of a run and where they were read; the device's where it has memory.

    Of the device's counters the one read from outside the process comes first: it is the same for
    every trainer, and includes what the trainer's own allocator does not see.
    """
    if measured is None:
        return None, None
    readings = (
        (measured.peak_device_process_bytes, "device, whole process"),
        (measured.peak_device_added_bytes, "device, more than before the run"),
        (measured.peak_device_reserved_bytes, "device, reserved"),
        (measured.peak_device_allocated_bytes, "device, allocated"),
        (measured.peak_host_bytes, f"host, {(measured.host_memory_counter or 'total').upper()}"),
    )
    # A counter that reads 0 is that of a device which the run did not use.
    return next(((value, name) for value, name in readings if value), (None, None))
