"""Passes of one step side by side on a CPU.

A step on a CPU is thousands of small operations. Shared by all cores, each ends with cores that
wait for one another. Here the cores are parted into lanes that
never wait: each takes some of the step's rows through a forward and backward pass of its own. The
gradients are added up in the order of the lanes, so the result does not depend on who is first.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from bakeoff.worker.batches import Batch
from bakeoff.worker.rows import Row

MAX_LANES = 4

Gradients = list[torch.Tensor | None]


class Lanes:
    """Threads, each with its share of the cores."""

    def __init__(self, num_lanes: int) -> None:
        num_threads = max(1, torch.get_num_threads() // num_lanes)
        self.num_lanes = num_lanes
        # OpenMP counts its threads for each thread that calls it: others keep theirs.
        self._pool = ThreadPoolExecutor(
            num_lanes, initializer=torch.set_num_threads, initargs=(num_threads,)
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def backward(
        self,
        lanes: list[list[Batch]],
        parameters: list[torch.nn.Parameter],
        loss: Callable[[Batch], torch.Tensor],
    ) -> torch.Tensor:
        """Set the gradients of the sum of all losses, as ``backward`` one by one would.

        Args:
            lanes: the batches of each lane.
            parameters: those that are trained; they have no gradients yet.
            loss: of a batch.

        Returns:
            The sum of the losses, (,) fp32.
        """

        def run(batches: list[Batch]) -> tuple[torch.Tensor, Gradients]:
            total = torch.zeros(())
            gradients: Gradients = [None] * len(parameters)
            for batch in batches:
                value = loss(batch)
                found = torch.autograd.grad(value, parameters, allow_unused=True)
                total += value.detach()
                gradients = _added(gradients, found)
            return total, gradients

        total = torch.zeros(())
        gradients: Gradients = [None] * len(parameters)
        for lane_total, found in self._pool.map(run, lanes):
            total += lane_total
            gradients = _added(gradients, found)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return total


def share_out(rows: list[Row], num_lanes: int, size: int) -> list[list[list[Row]]]:
    """The passes of each lane, of at most ``size`` rows over all lanes at a time.

    The longest row first, each to the lane that has least to do: lanes end at about the same time.
    """
    lanes: list[list[Row]] = [[] for _ in range(min(num_lanes, len(rows)))]
    num_tokens = [0] * len(lanes)
    for row in sorted(rows, key=lambda row: -len(row.token_ids)):
        lane = num_tokens.index(min(num_tokens))
        lanes[lane].append(row)
        num_tokens[lane] += len(row.token_ids)
    at_a_time = max(1, size // num_lanes)
    return [
        [lane[start : start + at_a_time] for start in range(0, len(lane), at_a_time)]
        for lane in lanes
    ]


def _added(gradients: Gradients, found: Gradients | tuple[torch.Tensor | None, ...]) -> Gradients:
    """``found`` added to ``gradients``, in place where there are any."""
    return [
        new if old is None else old if new is None else old.add_(new)
        for old, new in zip(gradients, found, strict=True)
    ]
