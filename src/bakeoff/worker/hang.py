"""Finds out for whom the processes of a training wait in vain.

An exchange that never ends says only that it took too long. So each process tells through the store
where it is, from a thread of its own; one that has waited too long looks where the others are,
names those that are behind or tell nothing any more, and ends the training.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from bakeoff.worker.machine import write_json_atomic

HANG = "hang.json"
EXIT_CODE = 5
_LONGEST_BEAT_SECONDS = 2.0


class HangWatch:
    """Of one process."""

    def __init__(self, store: Any, *, rank: int, num_processes: int, wait: float) -> None:
        self._store = store
        self._rank, self._num_processes = rank, num_processes
        self._wait = wait
        self._beat_seconds = min(_LONGEST_BEAT_SECONDS, wait / 5)
        self._count, self._where = 0, "the beginning"
        self._since = time.monotonic()
        self._ended = threading.Event()

    def start(self) -> None:
        """Tell and look from now on, in the background."""
        threading.Thread(target=self._run, name="hang-watch", daemon=True).start()

    def tell(self, where: str) -> None:
        """This process has come to ``where``; all tell the same places in the same order."""
        self._count += 1
        self._where, self._since = where, time.monotonic()

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        beat = 0
        try:
            while not self._ended.wait(self._beat_seconds):
                beat += 1
                self._store.set(f"at/{self._rank}", json.dumps([beat, self._count, self._where]))
                if time.monotonic() - self._since > self._wait:
                    self._look()
        except Exception:  # noqa: BLE001 - without the store the training ends by itself
            return

    def _look(self) -> None:
        """End the training if another is behind this process, or tells nothing any more."""
        before = self._others()
        if self._ended.wait(2.5 * self._beat_seconds):
            return
        for rank, now in self._others().items():
            beat, count, where = now
            is_silent = beat == before[rank][0]
            if is_silent or count < self._count:
                self._give_up(rank, where, is_silent=is_silent)

    def _others(self) -> dict[int, Any]:
        """Beat, count and place of each; of one that has told nothing yet, those of its start."""
        return {
            rank: json.loads(self._store.get(f"at/{rank}"))
            if self._store.check([f"at/{rank}"])
            else [0, 0, "the beginning"]
            for rank in range(self._num_processes)
            if rank != self._rank
        }

    def _give_up(self, rank: int, where: str, *, is_silent: bool) -> None:
        how = "stands still and tells nothing" if is_silent else "is behind the others"
        text = (
            f"Process {rank} of {self._num_processes} {how}: it came as far as {where}, while "
            f"process {self._rank} waited for it at {self._where} for {self._wait:g} s. If steps "
            "really differ so much, raise `exchange.timeout_minutes`."
        )
        write_json_atomic(Path(HANG), {"rank": rank, "text": text})
        os._exit(EXIT_CODE)
