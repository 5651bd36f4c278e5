"""Machines made up for tests."""

from pathlib import PurePosixPath, PureWindowsPath

from bakeoff.doctor.machine import Answer, Folder, Gpu, Machine, TorchFacts

GIB = 1024**3
HUB = Answer(name="hub", endpoint="https://huggingface.co", seconds=0.2)
MIRROR = Answer(name="mirror", endpoint="https://hf-mirror.com", seconds=0.3)
SCOPE = Answer(name="modelscope", endpoint="https://modelscope.cn", seconds=0.1)
CARD = Gpu(name="NVIDIA GeForce RTX 4090", memory_bytes=24 * GIB, used_bytes=0)
TORCH = TorchFacts(version="2.13.0", cuda_version="12.8", sees_gpu=True, supports_bf16=True)


def folder(role, path, variable, *, device=1, free=200e9):
    return Folder(role=role, path=path, variable=variable, device=device, free_bytes=int(free))


def healthy(**facts):
    """A Linux workstation with nothing to complain of."""
    usual = {
        "system": "Linux",
        "python_version": (3, 12, 4),
        "gpus": (CARD,),
        "driver": "570.86",
        "driver_cuda": "12.8",
        "torch": TORCH,
        "num_cores": 16,
        "memory_bytes": 64 * GIB,
        "available_memory_bytes": 50 * GIB,
        "folders": (folder("results", PurePosixPath("/home/me/runs"), "BAKEOFF_RUNS_DIR"),),
        "system_disk": 1,
        "answers": (HUB, MIRROR, SCOPE),
        "git": "git version 2.43.0",
    }
    return Machine(**{**usual, **facts})


def autodl(**facts):
    """As rented: everything on the small system disk, the hub out of reach."""
    folders = (
        folder("results", PurePosixPath("/root/runs"), "BAKEOFF_RUNS_DIR", free=9e9),
        folder("models and data", PurePosixPath("/root/.cache"), "BAKEOFF_CACHE_DIR", free=9e9),
        folder("temporary files", PurePosixPath("/tmp"), "TMPDIR", free=9e9),
    )
    out_of_reach = Answer(
        name="hub", endpoint="https://huggingface.co", seconds=None, error="ConnectTimeout"
    )
    usual = {
        "is_autodl": True,
        "data_disk": PurePosixPath("/root/autodl-tmp"),
        "folders": folders,
        "answers": (out_of_reach, MIRROR, SCOPE),
    }
    return healthy(**{**usual, **facts})


def windows_gbk(**facts):
    """A Chinese Windows laptop without a GPU that anybody uses."""
    usual = {
        "system": "Windows",
        "gpus": None,
        "torch": TorchFacts(version="2.13.0+cpu"),
        "folders": (folder("results", PureWindowsPath(r"C:\Users\me\runs"), "BAKEOFF_RUNS_DIR"),),
        "file_encoding": "cp936",
        "console_encoding": "gbk",
        "git": None,
    }
    return healthy(**{**usual, **facts})
