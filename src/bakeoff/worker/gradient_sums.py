"""Gradients of large weights, added up where they are over the passes of a step.

Autograd makes the gradient of a whole weight in every pass and then adds it to that of earlier
passes: for an embedding, which a pass gives a few hundred rows, and for an output layer of the same
weight as well. Here a product is added to the sum as it is made (as Megatron-LM does,
``gradient_accumulation_fusion``), and rows of an embedding are added alone.

A node asks in its forward pass, by :func:`sum_of`, and gives autograd nothing for a weight that has
a sum. Where none is collected (several processes exchange gradients in autograd's hooks) it gives
the gradient itself.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import torch

_here = threading.local()


class GradientSum:
    """That of one weight."""

    def __init__(self, holder: Any) -> None:
        """Begin with nothing.

        Args:
            holder: in whose ``grad`` the sum is: the weight itself, if no other sum of it exists.
        """
        self._holder = holder

    @property
    def value(self) -> torch.Tensor | None:
        """In the shape and type of the weight; None: nothing was added."""
        return self._holder.grad

    def add_product(self, left: torch.Tensor, right: torch.Tensor) -> None:
        """Add ``left @ right``."""
        if self._holder.grad is None:
            self._holder.grad = left @ right
        else:
            self._holder.grad.addmm_(left, right)

    def add_rows(self, weight: torch.Tensor, places: torch.Tensor, rows: torch.Tensor) -> None:
        """Add ``rows`` (N, width) to those at ``places`` (N,) of what is as large as ``weight``."""
        if self._holder.grad is None:
            self._holder.grad = torch.zeros_like(weight)
        # Of all ways the one that gives the same sum each time on every device.
        self._holder.grad.index_put_((places,), rows, accumulate=True)


class GradientSums:
    """Those of all matrices among some weights."""

    def __init__(self, weights: Iterable[torch.nn.Parameter], *, in_place: bool) -> None:
        """Begin with nothing.

        Args:
            weights: that are trained.
            in_place: the sums are the weights' own ``grad``.
        """
        self._by_weight = {
            id(weight): GradientSum(weight if in_place else SimpleNamespace(grad=None))
            for weight in weights
            if weight.dim() == 2
        }

    def of(self, weight: torch.Tensor) -> GradientSum | None:
        return self._by_weight.get(id(weight))

    def values(self, weights: Iterable[torch.nn.Parameter]) -> list[torch.Tensor | None]:
        """The sum of each weight; None: there is none, or nothing was added."""
        sums = (self.of(weight) for weight in weights)
        return [None if found is None else found.value for found in sums]

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """What this thread takes forward here is added up here when it goes backwards.

        The losses must be gone through backwards once, and not multiplied by anything.
        """
        _here.sums = self
        try:
            yield
        finally:
            _here.sums = None


def sum_of(weight: torch.Tensor) -> GradientSum | None:
    """Where this thread adds up the gradient of a weight; None: it is autograd's."""
    sums: GradientSums | None = getattr(_here, "sums", None)
    return None if sums is None else sums.of(weight)
