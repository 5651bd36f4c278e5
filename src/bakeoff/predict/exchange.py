"""What each process sends in an optimiser step, by the method's formula.

Sums and gatherings over N processes in a ring send (N - 1) / N of what is summed or gathered from
each of them; a sum that all get is both in turn (Rajbhandari et al. 2020, arXiv:1910.02054, section
7: 2 Psi for data parallel and ZeRO-1 and -2, 3 Psi for ZeRO-3, which here are bytes).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Exchanged:
    """Of one training."""

    strategy: str
    num_processes: int
    num_passes: int
    """Forward and backward passes of a process in a step."""

    weight_bytes: float
    """Of all weights, frozen ones included, as they are gathered."""

    trained_bytes: float
    """Of the trained weights alone."""

    gradient_bytes: float


def bytes_per_step(work: Exchanged) -> int | None:
    """Sent by each process; None where the strategy is not known."""
    share = (work.num_processes - 1) / work.num_processes
    stage = work.strategy.partition("-")[0]
    if stage == "single" or work.num_processes == 1:
        return 0
    if stage == "ddp":
        return round(2 * share * work.gradient_bytes)
    if stage == "zero1":
        return round(share * (work.gradient_bytes + work.trained_bytes))
    if stage == "zero2":
        return round(share * (work.num_passes * work.gradient_bytes + work.trained_bytes))
    if stage in ("zero3", "fsdp"):
        # Weights come once for the forward and once for the backward pass.
        return round(share * work.num_passes * (2 * work.weight_bytes + work.gradient_bytes))
    return None
