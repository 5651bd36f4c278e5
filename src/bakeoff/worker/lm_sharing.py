"""Several processes answer the questions of one evaluation: each has the whole model and a part.

Every process makes all requests, answers its own and is told the others' answers, so that the
harness scores the same everywhere; the first process writes what is kept.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bakeoff.worker.failures import JobError
from bakeoff.worker.group import Group, meet_only, share_threads
from bakeoff.worker.lm_journal import JOURNAL_FILE, Journal

_LAUNCH_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "ROLE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)


class Sharing:
    """This process among those that share the questions."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._num_exchanges = 0

    @property
    def rank(self) -> int:
        return self._group.rank

    @property
    def is_main(self) -> bool:
        return self._group.is_main

    @property
    def num_processes(self) -> int:
        return self._group.num_processes

    def own_part(self, numbers: Sequence[int], size: Callable[[int], tuple[int, Any]]) -> list[int]:
        """Those of ``numbers`` that this process answers, in their order.

        Args:
            numbers: of requests, the same in every process.
            size: of a request its length, and what it has in common with those that must stay
                with it. The longest are dealt out first, one to each process in turn.
        """
        if self.num_processes == 1:
            return list(numbers)
        units: dict[Any, list[int]] = {}
        longest: dict[Any, int] = {}
        for number in numbers:
            length, unit = size(number)
            units.setdefault(unit, []).append(number)
            longest[unit] = max(length, longest.get(unit, 0))
        dealt = sorted(units, key=lambda unit: -longest[unit])
        own = dealt[self._group.rank :: self.num_processes]
        return sorted(number for unit in own for number in units[unit])

    def all_of(self, own: dict[int, Any]) -> dict[int, Any]:
        """What every process found, by number of the request; plain JSON values."""
        if self.num_processes == 1:
            return own
        name = self._new_name()
        parts = self._group.collect(name, list(own.items()))
        merged = self._group.same(name, lambda: [item for part in parts for item in part])
        return {number: value for number, value in merged}  # noqa: C416 - pairs come as lists

    def of_main(self, make: Callable[[], Any]) -> Any:
        """What the first process makes, for all; plain JSON values."""
        return self._group.same(self._new_name(), make)

    def meet(self) -> None:
        """Wait until every process is here."""
        self._group.meet(self._new_name())

    def leave(self) -> None:
        self._group.leave()

    def _new_name(self) -> str:
        self._num_exchanges += 1
        return f"evaluate/{self._num_exchanges}"


ALONE = Sharing(Group())


def meet(job: dict[str, Any]) -> Sharing:
    """Find the other processes, if this one was started with others; take a GPU of its own.

    torch, transformers and vLLM would take the launcher's variables for a model that is spread.

    Raises:
        JobError: there are fewer GPUs than processes.
    """
    if "RANK" not in os.environ:
        return ALONE
    may_take_gpu = job["device"] in ("auto", "cuda")
    if not (may_take_gpu and _take_own_gpu()):
        share_threads(torch.device("cpu"))
    sharing = Sharing(meet_only())
    for name in _LAUNCH_VARIABLES:
        os.environ.pop(name, None)
    return sharing


def open_journal(sharing: Sharing, terms: dict[str, Any]) -> Journal:
    """That of this process; that of the first one takes over what the others kept before."""
    if sharing.is_main:
        others = sorted(Path().glob("answers-rank*.jsonl"))
        journal = Journal(Path(JOURNAL_FILE), terms, others=others)
        for path in others:
            path.unlink()
        sharing.meet()
        return journal
    sharing.meet()
    return Journal(Path(f"answers-rank{sharing.rank}.jsonl"), terms)


def remove_journals() -> None:
    for path in (Path(JOURNAL_FILE), *Path().glob("answers-rank*.jsonl")):
        path.unlink(missing_ok=True)


def _take_own_gpu() -> bool:
    """Hide the others' from this process; False: there is none."""
    local_rank, num_local = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    num_gpus = torch.cuda.device_count()
    if num_gpus == 0:
        return False  # a job that needs one says so where it looks for it
    if num_gpus < num_local:
        raise JobError(
            f"`evaluate.world_size` is {num_local}, but there are only {num_gpus} GPUs here, and "
            f"each process needs one. Set `evaluate.world_size: {num_gpus}`."
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(num_gpus)]
    os.environ["CUDA_VISIBLE_DEVICES"] = names[local_rank]
    return True
