"""What each process sends in an optimiser step, by the method's formula.

Sums and gatherings over N processes in a ring send (N - 1) / N of what is summed or gathered from
each of them; a sum that all get is both in turn (Rajbhandari et al. 2020, arXiv:1910.02054, section
7: 2 Psi for data parallel and ZeRO-1 and -2, 3 Psi for ZeRO-3, which here are bytes).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["all_reduce", "reduce_scatter", "all_gather"]
Behind = Literal["forward", "backward", "nothing"]


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


@dataclass(frozen=True)
class Collective:
    """Something that all processes do together."""

    kind: Kind
    num_bytes: float
    """Of the whole tensors, each time."""

    times: int
    """In an optimiser step."""

    behind: Behind
    """What a process computes meanwhile."""

    def sent_bytes(self, num_processes: int) -> float:
        """By each process, in an optimiser step."""
        share = (num_processes - 1) / num_processes
        return share * (2 if self.kind == "all_reduce" else 1) * self.times * self.num_bytes


def collectives_of(work: Exchanged) -> tuple[Collective, ...] | None:
    """In the order of a step; None where the strategy is not known.

    DDP and ZeRO-1 sum gradients in the last pass of a step, the others in each; the weights that
    ZeRO-1 and -2 gather are new ones, after the optimiser, when nothing else can go on.
    """
    stage = work.strategy.partition("-")[0]
    gradients = work.gradient_bytes
    renewed = Collective("all_gather", work.trained_bytes, 1, "nothing")
    if stage == "single" or work.num_processes == 1:
        return ()
    if stage == "ddp":
        return (Collective("all_reduce", gradients, 1, "backward"),)
    if stage == "zero1":
        return (Collective("reduce_scatter", gradients, 1, "backward"), renewed)
    if stage == "zero2":
        return (Collective("reduce_scatter", gradients, work.num_passes, "backward"), renewed)
    if stage in ("zero3", "fsdp"):
        # Weights come once for the forward and once for the backward pass.
        return (
            Collective("all_gather", work.weight_bytes, work.num_passes, "forward"),
            Collective("all_gather", work.weight_bytes, work.num_passes, "backward"),
            Collective("reduce_scatter", gradients, work.num_passes, "backward"),
        )
    return None


def bytes_per_step(work: Exchanged) -> int | None:
    """Sent by each process; None where the strategy is not known."""
    found = collectives_of(work)
    if found is None:
        return None
    return round(sum(one.sent_bytes(work.num_processes) for one in found))
