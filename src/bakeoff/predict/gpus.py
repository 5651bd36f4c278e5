"""Common GPUs. Memory is what CUDA reports as total, speed what the maker's data sheet states."""

import difflib
import re

from bakeoff.base.errors import UserError
from bakeoff.schema.prediction import Gpu

_MIB = 1024**2

# key, title, total MiB as `nvidia-smi` prints it, dense bf16 TFLOP/s (fp32 accumulation), GB/s,
# generation. A driver keeps some of the total; `usable_bytes` takes that off.
_ROWS: tuple[tuple[str, str, int, float, float, str], ...] = (
    ("gtx1080ti-11gb", "GeForce GTX 1080 Ti", 11264, 11.3, 484, "pascal"),
    ("rtx2060-6gb", "GeForce RTX 2060", 6144, 26, 336, "turing"),
    ("rtx2080ti-11gb", "GeForce RTX 2080 Ti", 11264, 54, 616, "turing"),
    ("rtx3050-8gb", "GeForce RTX 3050", 8192, 18, 224, "ampere"),
    ("rtx3050-4gb-laptop", "GeForce RTX 3050 laptop", 4096, 12, 192, "ampere"),
    ("rtx3060-12gb", "GeForce RTX 3060", 12288, 25.5, 360, "ampere"),
    ("rtx3060-6gb-laptop", "GeForce RTX 3060 laptop", 6144, 21, 336, "ampere"),
    ("rtx3070-8gb", "GeForce RTX 3070", 8192, 40.6, 448, "ampere"),
    ("rtx3080-10gb", "GeForce RTX 3080", 10240, 59.5, 760, "ampere"),
    ("rtx3080ti-12gb", "GeForce RTX 3080 Ti", 12288, 68, 912, "ampere"),
    ("rtx3090-24gb", "GeForce RTX 3090", 24576, 71, 936, "ampere"),
    ("rtx4050-6gb-laptop", "GeForce RTX 4050 laptop", 6141, 28, 192, "ada"),
    ("rtx4060-8gb", "GeForce RTX 4060", 8188, 30.2, 272, "ada"),
    ("rtx4060-8gb-laptop", "GeForce RTX 4060 laptop", 8188, 23, 256, "ada"),
    ("rtx4060ti-16gb", "GeForce RTX 4060 Ti 16 GB", 16380, 44, 288, "ada"),
    ("rtx4070-12gb", "GeForce RTX 4070", 12282, 58, 504, "ada"),
    ("rtx4070-8gb-laptop", "GeForce RTX 4070 laptop", 8188, 31, 256, "ada"),
    ("rtx4080-16gb", "GeForce RTX 4080", 16376, 97, 717, "ada"),
    ("rtx4080-12gb-laptop", "GeForce RTX 4080 laptop", 12282, 50, 432, "ada"),
    ("rtx4090-24gb", "GeForce RTX 4090", 24564, 165, 1008, "ada"),
    ("rtx4090d-24gb", "GeForce RTX 4090 D", 24564, 147, 1008, "ada"),
    ("rtx4090-48gb", "GeForce RTX 4090, 48 GB", 49140, 165, 1008, "ada"),
    ("rtx4090-16gb-laptop", "GeForce RTX 4090 laptop", 16376, 66, 576, "ada"),
    ("rtx5060-8gb-laptop", "GeForce RTX 5060 laptop", 8151, 27, 384, "blackwell"),
    ("rtx5070-12gb", "GeForce RTX 5070", 12227, 62, 672, "blackwell"),
    ("rtx5080-16gb", "GeForce RTX 5080", 16303, 113, 960, "blackwell"),
    ("rtx5090-32gb", "GeForce RTX 5090", 32607, 210, 1792, "blackwell"),
    ("a4000-16gb", "RTX A4000", 16376, 77, 448, "ampere"),
    ("a5000-24gb", "RTX A5000", 24564, 111, 768, "ampere"),
    ("a6000-48gb", "RTX A6000", 49140, 155, 768, "ampere"),
    ("p100-16gb", "Tesla P100", 16384, 18.7, 732, "pascal"),
    ("t4-16gb", "Tesla T4", 15360, 65, 320, "turing"),
    ("v100-16gb", "Tesla V100 16 GB", 16384, 112, 900, "volta"),
    ("v100-32gb", "Tesla V100 32 GB", 32768, 125, 900, "volta"),
    ("a10-24gb", "A10", 23028, 125, 600, "ampere"),
    ("a10g-24gb", "A10G", 23028, 70, 600, "ampere"),
    ("a40-48gb", "A40", 46068, 150, 696, "ampere"),
    ("l4-24gb", "L4", 23034, 121, 300, "ada"),
    ("l20-48gb", "L20", 46068, 119.5, 864, "ada"),
    ("l40s-48gb", "L40S", 46068, 362, 864, "ada"),
    ("a100-40gb", "A100 40 GB", 40960, 312, 1555, "ampere"),
    ("a100-80gb", "A100 80 GB", 81920, 312, 2039, "ampere"),
    ("a800-80gb", "A800 80 GB", 81920, 312, 2039, "ampere"),
    ("h20-96gb", "H20", 97871, 148, 4000, "hopper"),
    ("h100-80gb", "H100 80 GB", 81559, 989, 3350, "hopper"),
    ("h800-80gb", "H800 80 GB", 81559, 989, 3350, "hopper"),
    ("h200-141gb", "H200", 143771, 989, 4800, "hopper"),
)  # fmt: skip

_WITHOUT_BF16 = ("pascal", "volta", "turing")

GPUS = {
    key: Gpu(
        key=key,
        title=title,
        memory_bytes=mib * _MIB,
        bf16_tflops=tflops,
        bandwidth_gb=bandwidth,
        generation=generation,
        has_bf16=generation not in _WITHOUT_BF16,
    )
    for key, title, mib, tflops, bandwidth, generation in _ROWS
}


def find_gpu(name: str) -> Gpu:
    """The GPU of that name, however it is written: `rtx4060-8gb`, `RTX 4090`, `a100-80`.

    Raises:
        UserError: no or several GPUs are called so.
    """
    wanted = _plain(name)
    if exact := [gpu for key, gpu in GPUS.items() if _plain(key) == wanted]:
        return exact[0]
    found = [gpu for key, gpu in GPUS.items() if _plain(key).startswith(wanted)]
    desktop = [gpu for gpu in found if "laptop" not in gpu.key]
    if len(found) == 1 or len(desktop) == 1:
        return (desktop if len(desktop) == 1 else found)[0]
    if found:
        names = ", ".join(gpu.key for gpu in found)
        raise UserError(f"there are several GPUs `{name}`", hint=f"say which: {names}")
    close = difflib.get_close_matches(name.lower(), GPUS, n=3, cutoff=0.4)
    raise UserError(
        f"--gpu must be a GPU of the table; got `{name}`",
        hint=f"{'did you mean ' + ', '.join(close) + '? ' if close else ''}"
        "`bakeoff fit --list-gpus` prints the table; `--memory 8GB` takes any size",
    )


def match_device_name(name: str) -> Gpu | None:
    """The GPU that a driver calls ``name`` (`NVIDIA GeForce RTX 4090`), if the table has it."""
    words = _plain(re.sub(r"nvidia|geforce|tesla|gpu", "", name.lower()))
    hits = [gpu for gpu in GPUS.values() if words.startswith(_plain(gpu.key).rpartition("gb")[0])]
    stems = [gpu for gpu in GPUS.values() if words.startswith(_plain(gpu.key.partition("-")[0]))]
    return max(hits or stems, key=lambda gpu: len(gpu.key.partition("-")[0]), default=None)


def usable_bytes(gpu: Gpu) -> int:
    """What a process can have of an otherwise idle card.

    The driver keeps some memory for itself (about 2 % on a large card, never under 200 MiB), and
    a laptop's or desktop's screen takes a few hundred MiB more, which cannot be known beforehand.
    """
    return gpu.memory_bytes - max(200 * _MIB, gpu.memory_bytes // 100)


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
