"""How much of a file already lies in memory, so that reading it costs no disk: a warm start."""

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_WEIGHTS = (".safetensors", ".bin", ".gguf")


def cached_share_of_model(model_dir: Path) -> float | None:
    """Of the bytes of the model's weights; None where the system does not tell."""
    return cached_share(path for path in model_dir.iterdir() if path.suffix in _WEIGHTS)


def cached_share(paths: Iterable[Path]) -> float | None:
    """Of all the files' pages together; None for no pages, and where the system does not tell."""
    counts = [_count_pages(path) for path in paths]
    known = [found for found in counts if found is not None]
    total = sum(pages for _, pages in known)
    if total == 0 or len(known) < len(counts):
        return None
    return round(sum(cached for cached, _ in known) / total, 3)


def _count_pages(path: Path) -> tuple[int, int] | None:
    """Pages in memory, and all; None but on Linux, and for a file of somebody else.

    Linux says of files that one may not write that all of their pages are there.
    """
    if sys.platform != "linux" or not os.access(path, os.W_OK):
        return None
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0, 0
        num_pages = -(-size // mmap.PAGESIZE)
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
            ctypes.c_long,
        ]  # fmt: skip
        library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        # Mapped, but never touched: touching would read it in.
        address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address == ctypes.c_void_p(-1).value:
            return None
        try:
            pages = ctypes.create_string_buffer(num_pages)
            if library.mincore(address, size, pages) != 0:
                return None
        finally:
            library.munmap(address, size)
    return sum(byte & 1 for byte in pages.raw), num_pages
