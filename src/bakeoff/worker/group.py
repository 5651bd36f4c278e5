"""The processes that do one training together.

torchrun starts them and says in the environment which of them this one is. They find each other
through its key-value store, which also serves for what must be told outside of tensors.
"""

import io
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from typing_extensions import override

from bakeoff.worker.hang import HangWatch
from bakeoff.worker.machine import num_usable_cores
from bakeoff.worker.ranks import num_processes_here, rank_here

WAIT_SECONDS = "BAKEOFF_EXCHANGE_SECONDS"
"""Environment: how long a process waits for the others."""

_DEFAULT_WAIT_SECONDS = 600.0


def wait_seconds() -> float:
    return float(os.environ.get(WAIT_SECONDS, _DEFAULT_WAIT_SECONDS))


def _patience(wait: float) -> timedelta:
    """Longer than the watch waits, which can say for whom."""
    return timedelta(seconds=2 * wait + 60)


class Group:
    """This process among those of the training; alone it has nobody to talk to."""

    rank: int = 0
    num_processes: int = 1

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes results."""
        return self.rank == 0

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        return value

    def same(self, name: str, make: Callable[[], Any]) -> Any:
        """What the first process makes (plain values), for all."""
        return make()

    def collect(self, name: str, value: Any) -> list[Any]:
        """Everybody's value, such as ``torch.save`` takes, by rank; for the first process only."""
        return [value]

    def meet(self, name: str) -> None:
        """Go on when all have come so far."""

    def tell(self, where: str) -> None:
        """This process has come to a place that all come to."""

    def leave(self) -> None:
        """The work is done."""


class ProcessGroup(Group):
    """One of several processes. Names of exchanges must be new each time and the same in all."""

    def __init__(self, store: Any, *, wait: float) -> None:
        self.rank = rank_here()
        self.num_processes = num_processes_here()
        self._store = store
        self._wait = _patience(wait)
        self._watch = HangWatch(
            open_store(), rank=self.rank, num_processes=self.num_processes, wait=wait
        )
        self._watch.start()

    @override
    def sum(self, value: torch.Tensor) -> torch.Tensor:
        torch.distributed.all_reduce(value)
        return value

    @override
    def same(self, name: str, make: Callable[[], Any]) -> Any:
        if self.is_main:
            self._store.set(f"same/{name}", json.dumps(make()))
        return json.loads(self._get(f"same/{name}"))

    @override
    def collect(self, name: str, value: Any) -> list[Any]:
        if not self.is_main:
            buffer = io.BytesIO()
            torch.save(value, buffer)
            self._store.set(f"collect/{name}/{self.rank}", buffer.getvalue())
            return []
        found = [value]
        for rank in range(1, self.num_processes):
            key = f"collect/{name}/{rank}"
            found.append(torch.load(io.BytesIO(self._get(key)), weights_only=True))
            self._store.delete_key(key)
        return found

    @override
    def meet(self, name: str) -> None:
        self._store.set(f"meet/{name}/{self.rank}", "")
        self._store.wait([f"meet/{name}/{rank}" for rank in range(self.num_processes)], self._wait)

    @override
    def tell(self, where: str) -> None:
        self._watch.tell(where)

    @override
    def leave(self) -> None:
        """Wait for the others: the first to go would take what they still use with it."""
        self.meet("leave")
        self._watch.end()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _get(self, key: str) -> bytes:
        self._store.wait([key], self._wait)
        return self._store.get(key)


def open_store() -> Any:
    """The store of torchrun's own agent, in a corner that nobody else uses."""
    from torch.distributed import PrefixStore, rendezvous

    store, _, _ = next(rendezvous("env://"))
    return PrefixStore("bakeoff", store)


def join(device: torch.device) -> Group:
    """Meet the other processes, if this one was started with others.

    Tensors are exchanged through NCCL between GPUs, through gloo between CPUs.
    """
    if "RANK" not in os.environ:
        return Group()
    wait = wait_seconds()
    torch.distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", timeout=_patience(wait)
    )
    return ProcessGroup(open_store(), wait=wait)


def meet_only() -> Group:
    """Likewise, but exchanging tensors is left to others, who are still to find each other."""
    return ProcessGroup(open_store(), wait=wait_seconds()) if "RANK" in os.environ else Group()


def device_of_process(device: torch.device) -> torch.device:
    """The GPU of this process where there are several; makes it the current one."""
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(own)
    return own


def share_threads(device: torch.device) -> None:
    """Processes on one CPU take equal parts of its cores; torchrun gives each a single one."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cpu" and local > 1:
        torch.set_num_threads(max(1, (num_usable_cores() or 1) // local))
