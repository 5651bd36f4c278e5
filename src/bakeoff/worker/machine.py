"""The machine and the environment as a worker sees them."""

import ctypes
import gc
import importlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "accelerate", "numpy", "datasets",
    "lm-eval", "gguf", "huggingface-hub", "triton", "flash-attn", "bitsandbytes", "deepspeed",
    "liger-kernel", "vllm", "llamafactory", "ms-swift", "trl",
)  # fmt: skip


def packages() -> dict[str, str]:
    """Versions of Python and of those distributions that change results and are installed."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def hardware() -> dict[str, Any]:
    """What the work ran on; None where the system does not say."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "num_cpu_cores": os.cpu_count(),
        "num_usable_cpu_cores": num_usable_cores(),
        "host_memory_bytes": _host_memory_bytes(),
        "num_torch_threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        if cuda
        else [],
        "gpu_memory_bytes": [
            torch.cuda.get_device_properties(index).total_memory
            for index in range(torch.cuda.device_count())
        ]
        if cuda
        else [],
        "cuda_version": torch.version.cuda,
        "driver": _gpu_driver() if cuda else None,
    }


def import_libraries(*, with_adapter: bool) -> None:
    """Before anything is loaded, so that their time and memory do not count as the model's."""
    importlib.import_module("transformers.models.auto.modeling_auto")
    importlib.import_module("transformers.modeling_utils")
    if with_adapter:
        importlib.import_module("peft")


def begin_collecting() -> None:
    """Collect garbage from now on, and never look at the objects that are there already.

    Libraries and the model are half a million of them; going over them again and again takes some
    3 % of a training step on a CPU.
    """
    gc.freeze()
    gc.enable()


def write_environment(run_dir: Path) -> dict[str, Any]:
    """Note packages and hardware in ``environment.json``: a run that fails must have them too."""
    environment = {"packages": packages(), "hardware": hardware()}
    write_json_atomic(run_dir / "environment.json", environment)
    return environment


def choose_device(name: str) -> Any:
    """The ``torch.device`` of that name; ``auto`` takes CUDA, then MPS, then the CPU."""
    import torch

    from bakeoff.worker.failures import JobError

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        there = ", ".join(device for device, is_there in available.items() if is_there)
        raise JobError(
            f"The recipe asks for `device: {name}`, but PyTorch {torch.__version__} finds none "
            f"here (it finds: {there}). Use `device: auto`, or install a build for {name}."
        )
    return torch.device(name)


def set_seeds(seed: int) -> None:
    """Seed Python's and torch's generators, those of all GPUs included."""
    import torch

    random.seed(seed)
    torch.manual_seed(seed)


def release_freed_memory() -> None:
    """Give memory that was freed back to the system, where the heap is told to keep it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
        if trim is not None:
            trim(0)


def write_json_atomic(path: Path, value: Any) -> None:
    """UTF-8 JSON; readers see the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _cpu_model() -> str | None:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _first_line("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def num_usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _host_memory_bytes() -> int | None:
    if sys.platform == "win32":
        return _windows_memory_bytes()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _windows_memory_bytes() -> int | None:
    kilobytes = ctypes.c_ulonglong()
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    if not kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes)):
        return None
    return kilobytes.value * 1024


def _gpu_driver() -> str | None:
    return _first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def _first_line(*command: str) -> str | None:
    """The first line that a system tool prints; None when it is missing or fails."""
    program = shutil.which(command[0])
    if program is None:
        return None
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0] or None if done.returncode == 0 else None
