"""Which of the processes of one job this is, and which files are whose.

torchrun says it in the environment. Nothing here needs torch: it is asked before that is imported.
"""

import os
from pathlib import Path


def rank_here() -> int:
    return int(os.environ.get("RANK", "0"))


def num_processes_here() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def events_file(rank: int) -> Path:
    """What the first process tells is what the run tells; the others have files of their own."""
    return Path("events.jsonl" if rank == 0 else f"events-rank{rank}.jsonl")


def log_file(rank: int) -> Path:
    """Of a process but the first, whose log is the run's own."""
    return Path(f"log-rank{rank}.txt")
