"""Watches every block of memory that torch takes and frees, without any memory being taken.

Under ``FakeTensorMode`` tensors have shapes and lifetimes but no numbers; a dispatch mode sees each
operation, and a weak reference to each new storage tells when it dies (as
``torch.distributed._tools.mem_tracker`` does).
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LOADING = "other"
"""What loading leaves beside the weights."""


class TapeMode(TorchDispatchMode):
    """The tape of everything that happens inside."""

    def __init__(self, *, vocabulary: int, asks_yes: bool) -> None:
        super().__init__()
        self.events: list[int] = []
        """Block and size, block and -1, one after the other."""

        self.parts: list[str] = []
        self.moments: list[tuple[int, str]] = []
        self.phase = LOADING
        """What is taken now is for this, until it is known better."""

        self._vocabulary = vocabulary
        self._asks_yes = asks_yes
        self._blocks: dict[int, tuple[Any, int]] = {}

    def begins(self, moment: str, phase: str) -> None:
        self.moments.append((len(self.events) // 2, moment))
        self.phase = phase

    def mark(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        """Say what blocks are for, now that it is known."""
        for tensor in tensors:
            known = self._blocks.get(id(tensor.untyped_storage()))
            if known is not None:
                self.parts[known[1]] = part

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return self._answer(args[0])
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return result

    def _answer(self, tensor: torch.Tensor) -> Any:
        """Answer a question about numbers that are not there.

        While the model is loaded two ways of computing are compared: they are taken to agree. Later
        the masks are asked for padding.
        """
        if self.phase == LOADING:
            return True if tensor.dtype == torch.bool else 0
        return self._asks_yes if tensor.dtype == torch.bool else 1

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._blocks:
            return
        size = storage.nbytes()
        if size == 0:
            return
        block = len(self.parts)
        is_logits = tensor.dim() > 0 and tensor.shape[-1] == self._vocabulary
        self.parts.append("logits" if is_logits and self.phase == "activations" else self.phase)
        self.events += (block, size)
        self._blocks[key] = (weakref.ref(storage, self._death_of(key, block)), block)

    def _death_of(self, key: int, block: int) -> Callable[[Any], None]:
        def died(_: Any) -> None:
            self._blocks.pop(key, None)
            self.events.extend((block, -1))

        return died
