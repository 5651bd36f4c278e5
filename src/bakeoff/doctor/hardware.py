"""Python, GPU, driver, torch and memory."""

from collections.abc import Iterator

from bakeoff.doctor.commands import INSTALL_TORCH, install
from bakeoff.doctor.machine import Machine, TorchFacts
from bakeoff.schema.findings import Finding

_OLDEST_PYTHON = (3, 11)
_LITTLE_MEMORY_BYTES = 8 * 1024**3
_LITTLE_AVAILABLE_BYTES = 3 * 1024**3
_GIB = 1024**3


def check_python(machine: Machine) -> Iterator[Finding]:
    version = ".".join(str(part) for part in machine.python_version)
    if machine.python_version[:2] < _OLDEST_PYTHON:
        yield Finding(
            check="python",
            verdict="problem",
            text=f"Python {version}; 3.11 or newer is needed",
            command="uv venv --python 3.12",
        )
    elif not machine.is_64_bit:
        yield Finding(
            check="python",
            verdict="problem",
            text=f"Python {version} is a 32-bit build, for which there is no PyTorch",
            command="uv venv --python 3.12",
        )
    else:
        yield Finding(check="python", verdict="ok", text=f"Python {version}")


def check_gpus(machine: Machine) -> Iterator[Finding]:
    if machine.gpus:
        names = ", ".join(f"{g.name} ({g.memory_bytes / _GIB:.0f} GiB)" for g in machine.gpus)
        yield Finding(
            check="gpu",
            verdict="ok",
            text=f"{names}; driver {machine.driver}, for CUDA up to {machine.driver_cuda}",
        )
        for number, gpu in enumerate(machine.gpus):
            if gpu.used_bytes is not None and gpu.used_bytes > 0.3 * gpu.memory_bytes:
                yield Finding(
                    check="gpu",
                    verdict="warning",
                    text=f"{gpu.used_bytes / _GIB:.1f} GiB of GPU {number} are in use by others",
                    command="nvidia-smi",
                )
    elif machine.torch is not None and machine.torch.has_mps:
        yield Finding(check="gpu", verdict="ok", text="an Apple GPU (MPS)")
    elif machine.is_autodl:
        yield Finding(
            check="gpu",
            verdict="warning",
            text="AutoDL gives no GPU in this session (started without one, 无卡模式): good for "
            "fetching, not for training; stop the machine and start it with a GPU",
            command="shutdown",
        )
    else:
        yield Finding(
            check="gpu",
            verdict="warning",
            text="no NVIDIA GPU answers (nvidia-smi is missing or fails): everything runs on the "
            "CPU, which suits models up to some hundred million parameters",
            command=None if machine.system == "Darwin" else "nvidia-smi",
        )


def check_torch(machine: Machine) -> Iterator[Finding]:
    torch = machine.torch
    if torch is None or torch.version is None:
        why = f" ({torch.error})" if torch is not None and torch.error else ""
        yield Finding(
            check="torch",
            verdict="problem",
            text=f"PyTorch cannot be imported{why}: nothing can be trained or scored",
            command=INSTALL_TORCH,
        )
    elif machine.gpus:
        yield _torch_with_gpu(machine, torch)
    else:
        built = f"built for CUDA {torch.cuda_version}" if torch.cuda_version else "built for CPUs"
        yield Finding(check="torch", verdict="ok", text=f"PyTorch {torch.version}, {built}")


def _torch_with_gpu(machine: Machine, torch: TorchFacts) -> Finding:
    name = f"PyTorch {torch.version}"
    if torch.cuda_version is None:
        return Finding(
            check="torch",
            verdict="problem",
            text=f"{name} is a build for CPUs, so the GPU stays idle",
            command=INSTALL_TORCH,
        )
    if _is_newer_cuda(torch.cuda_version, machine.driver_cuda):
        return Finding(
            check="torch",
            verdict="problem",
            text=f"{name} is built for CUDA {torch.cuda_version}, driver {machine.driver} knows "
            f"CUDA up to {machine.driver_cuda}: take a build for that, or "
            + (
                "rent a machine with a newer driver (AutoDL shows it before renting)"
                if machine.is_autodl
                else "update the driver"
            ),
            command=INSTALL_TORCH,
        )
    if not torch.sees_gpu:
        return Finding(
            check="torch",
            verdict="problem",
            text=f"{name} (CUDA {torch.cuda_version}) finds no GPU although nvidia-smi does: "
            "CUDA_VISIBLE_DEVICES hides it, or the driver must be loaded anew (restart)",
            command="nvidia-smi",
        )
    return Finding(check="torch", verdict="ok", text=f"{name}, CUDA {torch.cuda_version}")


def _is_newer_cuda(built_for: str, driver_knows: str | None) -> bool:
    """Within one major version any driver runs any build (CUDA's minor version compatibility)."""
    if driver_knows is None:
        return False
    return int(built_for.partition(".")[0]) > int(driver_knows.partition(".")[0])


def check_bf16(machine: Machine) -> Iterator[Finding]:
    torch = machine.torch
    if torch is None:
        return
    if torch.cpu_supports_bf16 is False and not torch.sees_gpu and not torch.has_mps:
        yield Finding(
            check="bf16",
            verdict="warning",
            text="this processor has no instructions for bf16: the built-in trainer and engine go "
            "through fp32 at its speed, LLaMA-Factory and ms-swift take twenty times as long in "
            "bf16",
            command="bakeoff run RECIPE --set train.precision=fp32",
        )
    if torch.supports_bf16 is None or not torch.sees_gpu:
        return
    if torch.supports_bf16:
        yield Finding(check="bf16", verdict="ok", text="the GPU computes in bf16")
    else:
        yield Finding(
            check="bf16",
            verdict="warning",
            text="the GPU (older than Ampere) has no bf16; fp32 takes twice the memory",
            command="bakeoff run RECIPE --set train.precision=fp32 --set evaluate.precision=fp32",
        )


def check_memory(machine: Machine) -> Iterator[Finding]:
    total, free = machine.memory_bytes, machine.available_memory_bytes
    if total is None:
        return
    text = f"{total / _GIB:.0f} GiB of memory"
    if free is not None:
        text += f", {free / _GIB:.1f} GiB free"
    if total < _LITTLE_MEMORY_BYTES:
        yield Finding(
            check="memory",
            verdict="warning",
            text=f"{text}: enough for the quickstart, not for a model of a billion parameters",
        )
    elif free is not None and free < _LITTLE_AVAILABLE_BYTES:
        yield Finding(
            check="memory",
            verdict="warning",
            text=f"{text}: other programs hold the rest",
            command="tasklist" if machine.system == "Windows" else "ps aux --sort=-rss | head",
        )
    else:
        yield Finding(check="memory", verdict="ok", text=text)


def git_install(machine: Machine) -> str:
    return install(machine.system, linux="git", windows="Git.Git")
