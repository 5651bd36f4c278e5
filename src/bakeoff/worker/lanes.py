"""Passes of one step side by side on a CPU.

A step on a CPU is thousands of small operations. Shared by all cores, each ends with cores that
wait for one another. Here the cores are parted into lanes that
never wait: each takes some of the step's rows through a forward and backward pass of its own. The
gradients are added up in the order of the lanes, so the result does not depend on who is first.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from bakeoff.worker import products
from bakeoff.worker.batches import Batch
from bakeoff.worker.gradient_sums import GradientSums
from bakeoff.worker.rows import Row

MAX_LANES = 4

MAX_LANES_OF_WEIGHTS = 2
"""Where whole weights are trained: each further lane has gradients as large as they are. Where some
are not added up in place there is one: each of the smaller passes would make them anew."""

Gradients = list[torch.Tensor | None]
Item = TypeVar("Item")
Found = TypeVar("Found")


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

    def each(self, work: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """What ``work`` makes of each item, side by side."""
        return list(self._pool.map(work, items))

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
            sums = GradientSums(parameters, in_place=False)
            for batch in batches:
                with sums.collecting():
                    value = loss(batch)
                found = torch.autograd.grad(value, parameters, allow_unused=True)
                total += value.detach()
                gradients = _added(gradients, found)
            return total, _added(sums.values(parameters), gradients)

        total = torch.zeros(())
        gradients: Gradients = [None] * len(parameters)
        for lane_total, found in self.each(run, lanes):
            total += lane_total
            gradients = _added(gradients, found)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return total


def count_lanes(device: torch.device, computed_in: torch.dtype) -> int:
    """How many there may be on a device; one where it is not a CPU.

    One, too, where products of bf16 go through fp32: they take so long that waiting hardly counts,
    and side by side their copies cost more than that (LoRA on AVX2: 8.7 ms a token for 5.2).
    """
    if device.type != "cpu" or products.go_through_fp32(computed_in):
        return 1
    return min(torch.get_num_threads(), MAX_LANES)


def spread_out(
    items: Sequence[Item], num_lanes: int, size: Callable[[Item], int]
) -> list[list[Item]]:
    """The items of each lane, all lanes about as long as each other.

    The largest item first, each to the lane that has least to do; then the longest and the shortest
    lane exchange items as long as that brings them nearer to each other.
    """
    lanes: list[list[Item]] = [[] for _ in range(min(num_lanes, len(items)))]
    for item in sorted(items, key=lambda item: -size(item)):
        min(lanes, key=lambda lane: sum(map(size, lane))).append(item)
    while len(lanes) > 1:
        lanes.sort(key=lambda lane: sum(map(size, lane)))
        if not _exchange(lanes[-1], lanes[0], size):
            break
    return lanes


def _exchange(longer: list[Item], shorter: list[Item], size: Callable[[Item], int]) -> bool:
    """Exchange the two items after which the lanes differ least; whether that is less than now."""
    gap = sum(map(size, longer)) - sum(map(size, shorter))
    pairs = itertools.product(range(len(longer)), range(len(shorter)))
    change, here, there = min(
        (abs(gap - 2 * (size(longer[here]) - size(shorter[there]))), here, there)
        for here, there in pairs
    )
    if change >= gap:
        return False
    longer[here], shorter[there] = shorter[there], longer[here]
    return True


def share_out(rows: list[Row], num_lanes: int, size: int) -> list[list[list[Row]]]:
    """The passes of each lane, of at most ``size`` rows over all lanes at a time."""
    at_a_time = max(1, size // num_lanes)
    return [
        [lane[start : start + at_a_time] for start in range(0, len(lane), at_a_time)]
        for lane in spread_out(rows, num_lanes, lambda row: len(row.token_ids))
    ]


def _added(gradients: Gradients, found: Gradients | tuple[torch.Tensor | None, ...]) -> Gradients:
    """``found`` added to ``gradients``, in place where there are any."""
    return [
        new if old is None else old if new is None else old.add_(new)
        for old, new in zip(gradients, found, strict=True)
    ]
