"""Trainings in several processes, without paying for the imports of each.

    python -m tests.worker.ranks

imports what a training imports once, and forks the processes of every job that it reads from its
standard input: one JSON object a line, answered by one with the exit codes. The processes meet
through the environment that torchrun would give them.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

DEEPSPEED = "deepspeed"


Spread = tuple[str, dict[str, Any]]
"""Kind and settings, as in a job."""


class Ranks:
    """The client: starts trainings in a server of its own."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.ranks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def train(
        self,
        job: dict[str, Any],
        run_dir: Path,
        spread: tuple[str, dict[str, Any]],
        number: int = 2,
    ) -> Path:
        """The training by so many processes; gives the run's directory."""
        assert self.codes(job, run_dir, spread, number) == [0] * number, _logs(run_dir)
        return run_dir

    def codes(
        self,
        job: dict[str, Any],
        run_dir: Path,
        spread: tuple[str, dict[str, Any]],
        number: int = 2,
    ) -> list[int]:
        """Likewise; gives the exit codes of the processes."""
        run_dir.mkdir(parents=True, exist_ok=True)
        kind, settings = spread
        whole = {**job, "spread": {"kind": kind, "num_processes": number, "settings": settings}}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"job": whole, "run_dir": str(run_dir)}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def _logs(run_dir: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(run_dir.glob("rank*.txt")))


def serve() -> None:
    """Answer jobs until there is no more input."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    from bakeoff.worker import spread, spread_ddp, spread_fsdp, train  # noqa: F401
    from bakeoff.worker.machine import import_libraries

    torch.set_num_threads(1)
    import_libraries(with_adapter=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["job"]["spread"]["kind"] == DEEPSPEED:
            import deepspeed.runtime.zero.muon.original_muon  # noqa: F401 - slow to import
        answers.write(json.dumps(_run(asked["job"], Path(asked["run_dir"]))) + "\n")
        answers.flush()


def _run(job: dict[str, Any], run_dir: Path) -> list[int]:
    number = job["spread"]["num_processes"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = [_fork(job, run_dir, rank, number, port) for rank in range(number)]
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def _fork(job: dict[str, Any], run_dir: Path, rank: int, number: int, port: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        sizes = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number)}
        os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), **sizes, **where})
        log = os.open(run_dir / f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from bakeoff.worker import train

        interrupt(job.pop("interrupt_after", None))
        train.main(job, run_dir)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may go on in the server's copy
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def interrupt(after: int | None) -> None:
    """Let this process end before it does the step after so many."""
    from bakeoff.worker.loop import Loop

    original = Loop._step

    def step(self: Loop, done: int, rows: Any) -> None:
        if done == after:
            raise KeyboardInterrupt
        original(self, done, rows)

    Loop._step = step  # type: ignore[method-assign]


if __name__ == "__main__":
    serve()
