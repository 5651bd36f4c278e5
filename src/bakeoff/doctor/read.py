"""Gathers the facts about this machine.

Everything that asks it is handed in, so that tests can present another one.
"""

import json
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base import process
from bakeoff.base.cores import num_cores
from bakeoff.base.hub_access import HubAccess, HubAddress
from bakeoff.base.network import client, transport_errors
from bakeoff.doctor.machine import Answer, Folder, Gpu, Machine, System, TorchFacts, TrackerClient

AUTODL_DATA_DISK = Path("/root/autodl-tmp")
_HUB_SECONDS = 5.0
_TORCH_SECONDS = 90.0
"""The first import on a slow disk takes that long."""

_MIB = 1 << 20
_GPU_FIELDS = "name,memory.total,memory.used,driver_version"
_TORCH_PROGRAM = """
import json
try:
    import torch
except Exception as error:
    print(json.dumps({"version": None, "error": f"{type(error).__name__}: {error}"[:300]}))
else:
    sees = torch.cuda.is_available()
    print(json.dumps({
        "version": torch.__version__,
        "cuda_version": torch.version.cuda,
        "sees_gpu": sees,
        "supports_bf16": torch.cuda.is_bf16_supported(including_emulation=False) if sees else None,
        "cpu_supports_bf16": torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "has_mps": torch.backends.mps.is_available(),
    }))
"""


@dataclass(frozen=True, kw_only=True)
class Readers:
    """How the machine is asked."""

    capture: Callable[[Sequence[str], float], str | None]
    """Output of a command within so many seconds; None when it is missing, fails or hangs."""

    ask_hub: Callable[[HubAddress], Answer]
    disk: Callable[[Path], tuple[int, int] | None]
    """Device and free bytes of the disk that holds (or would hold) a folder."""

    is_folder: Callable[[Path], bool] = Path.is_dir


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the command line knows already."""

    environment: Mapping[str, str]
    python: Path
    """Of the training environment."""

    runs_dir: Path
    cache_dir: Path
    hub: HubAccess
    console_encoding: str
    file_encoding: str
    trackers: tuple[TrackerClient, ...]


def real_readers() -> Readers:
    return Readers(capture=_capture, ask_hub=_ask_hub, disk=_disk)


def read_machine(around: Surroundings, readers: Readers) -> Machine:
    """All facts; the slow ones (hubs, torch) at the same time."""
    with ThreadPoolExecutor() as threads:
        asked = [] if around.hub.offline else around.hub.places()
        torch = threads.submit(_torch, around.python, readers)
        answers = tuple(threads.map(readers.ask_hub, asked))
    gpus, driver, cuda = _gpus(readers)
    memory = _memory()
    is_autodl = "AutoDLContainerUUID" in around.environment or readers.is_folder(AUTODL_DATA_DISK)
    root = readers.disk(Path("/"))
    return Machine(
        system=_system(),
        python_version=sys.version_info[:3],
        is_64_bit=sys.maxsize > 2**32,
        environment=around.environment,
        gpus=gpus,
        driver=driver,
        driver_cuda=cuda,
        torch=torch.result(),
        num_cores=num_cores(),
        memory_bytes=memory[0],
        available_memory_bytes=memory[1],
        folders=tuple(_folders(around, readers)),
        system_disk=root[0] if root else None,
        data_disk=AUTODL_DATA_DISK if readers.is_folder(AUTODL_DATA_DISK) else None,
        is_autodl=is_autodl,
        answers=answers,
        offline=around.hub.offline,
        console_encoding=around.console_encoding,
        file_encoding=around.file_encoding,
        git=readers.capture(["git", "--version"], 10.0),
        trackers=around.trackers,
    )


def _system() -> System:
    name = platform.system()
    return "Windows" if name == "Windows" else "Darwin" if name == "Darwin" else "Linux"


def _memory() -> tuple[int, int]:
    import psutil  # noqa: PLC0415 - slow to import

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def _gpus(readers: Readers) -> tuple[tuple[Gpu, ...] | None, str | None, str | None]:
    query = ["nvidia-smi", f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"]
    listed = readers.capture(query, 20.0)
    if listed is None:
        return None, None, None
    rows = [[part.strip() for part in line.split(",")] for line in listed.splitlines() if line]
    gpus = tuple(
        Gpu(
            name=row[0],
            memory_bytes=int(row[1]) * _MIB,
            used_bytes=int(row[2]) * _MIB if row[2].isdigit() else None,
        )
        for row in rows
        if len(row) == 4 and row[1].isdigit()
    )
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", readers.capture(["nvidia-smi"], 20.0) or "")
    return gpus, rows[0][-1] if gpus else None, cuda[1] if cuda else None


def _torch(python: Path, readers: Readers) -> TorchFacts | None:
    said = readers.capture([str(python), "-W", "ignore", "-c", _TORCH_PROGRAM], _TORCH_SECONDS)
    try:
        facts: dict[str, Any] = json.loads((said or "").strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return TorchFacts(**facts)


def _folders(around: Surroundings, readers: Readers) -> list[Folder]:
    home = Path(around.environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    asked = (
        ("results", around.runs_dir, "BAKEOFF_RUNS_DIR"),
        ("models and data", around.cache_dir, "BAKEOFF_CACHE_DIR"),
        ("the hub's own cache", home, "HF_HOME"),
        ("temporary files", Path(tempfile.gettempdir()), "TMPDIR"),
    )
    found = []
    for role, path, variable in asked:
        disk = readers.disk(path)
        name = "TEMP" if variable == "TMPDIR" and _system() == "Windows" else variable
        found.append(
            Folder(
                role=role,
                path=path,
                variable=name,
                device=disk[0] if disk else None,
                free_bytes=disk[1] if disk else None,
            )
        )
    return found


def _capture(argv: Sequence[str], seconds: float) -> str | None:
    return process.capture(argv, cwd=Path.cwd(), timeout_seconds=seconds)


def _disk(folder: Path) -> tuple[int, int] | None:
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        return existing.stat().st_dev, shutil.disk_usage(existing).free
    except (OSError, StopIteration):
        return None


def _ask_hub(place: HubAddress) -> Answer:
    """Any answer will do, an error's too: the way there is open."""
    started = time.monotonic()
    try:
        client().head(place.endpoint, timeout=_HUB_SECONDS)
    except transport_errors() as error:
        why = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
        return Answer(name=place.name, endpoint=place.endpoint, seconds=None, error=why)
    seconds = time.monotonic() - started
    return Answer(name=place.name, endpoint=place.endpoint, seconds=seconds)
