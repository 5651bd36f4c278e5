"""How the code in ``bakeoff.worker`` is started, whatever the job."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bakeoff.schema.plan import Dialect, Distribution, Launch, World

_WORKER = Path(__file__).resolve().parent / "worker" / "__main__.py"
_PROCESSES = _WORKER.with_name("processes.py")
_KEEP_BYTES = str(1 << 32)

_ENVIRONMENT = {"PYTHONUTF8": "1", "TQDM_DISABLE": "1"}
_OUR_THREADS_AND_MEMORY = {
    # Threads that wait for work spin a moment before they sleep: a step is thousands of operations,
    # and waking up takes longer than most of them. OpenMP's own hundreds of thousands of rounds
    # would make a step up to ten times slower as soon as anything else runs on the machine.
    "GOMP_SPINCOUNT": "2000",
    # glibc returns every large tensor to the system when it is freed; getting it back, page by
    # page, takes a fifth of a training step on a CPU. Other systems ignore these.
    "MALLOC_MMAP_THRESHOLD_": _KEEP_BYTES,
    "MALLOC_TRIM_THRESHOLD_": _KEEP_BYTES,
    # Two heaps: with one, passes side by side wait for each other's allocations, a twentieth of a
    # step; more are given back to the system whenever they are empty, whatever the thresholds say.
    "MALLOC_ARENA_MAX": "2",
    # Rows differ in length, so every pass brings shapes that were never seen. PyTorch and oneDNN
    # keep a compiled product for each of the last 1,024: a quarter of a megabyte each, scattered
    # over the heap. So many are enough for all the products of one pass.
    "LRU_CACHE_CAPACITY": "128",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
}
"""Not for a framework's training: it is measured as its own command would run it, and these would
make it hold up to half as much memory again."""

JobKind = Literal[
    "train",
    "framework",
    "evaluate",
    "convert",
    "fold",
    "to_gguf",
    "ask_gguf",
    "chat",
    "talk",
    "serve",
    "reference",
    "trial",
    "trace",
    "bench_hold",
    "bench_rows",
]
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""For jobs whose inputs all lie on disk: a library must not ask a hub about them."""


def worker_launch(
    kind: JobKind,
    job: Mapping[str, Any],
    *,
    python: Path,
    env: Mapping[str, str],
    files: Mapping[PurePosixPath, str] | None = None,
    world: World | None = None,
) -> Launch:
    """The launch of one job in the interpreter ``python``, with ``job.json`` among its files.

    Args:
        kind: Of the job.
        job: What ``job.json`` holds.
        python: Interpreter.
        env: On top of what all jobs get.
        files: Further files.
        world: The processes that do it together, started by torchrun; None: it is one alone.
    """
    text = json.dumps(job, ensure_ascii=False, indent=2) + "\n"
    return Launch(
        argv=(str(python), *_started_by(world), str(_WORKER), kind, "job.json"),
        env={**_ENVIRONMENT, **({} if kind == "framework" else _OUR_THREADS_AND_MEMORY), **env},
        files={PurePosixPath("job.json"): text, **(files or {})},
    )


def _started_by(world: World | None) -> tuple[str, ...]:
    if world is None:
        return ()
    sizes = f"--nnodes={world.num_nodes}", f"--nproc-per-node={world.devices_per_node}"
    return (str(_PROCESSES), *sizes)


def spread_of(told: Distribution | None) -> dict[str, Any] | None:
    """What a job says of its processes (``bakeoff.worker.settings.SpreadSettings``)."""
    if told is None:
        return None
    is_deepspeed = told.dialect is Dialect.DEEPSPEED_JSON
    kinds = {Dialect.DEEPSPEED_JSON: "deepspeed", Dialect.HF_FSDP: "fsdp"}
    return {
        "kind": kinds.get(told.dialect) or told.settings["kind"],
        "num_processes": told.world.num_processes,
        "settings": told.settings if is_deepspeed else {},
    }
