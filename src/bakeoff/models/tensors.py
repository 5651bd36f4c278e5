"""The heads of safetensors files: names, formats, shapes and places of tensors, not their numbers.

Format: 8 bytes length, little-endian; JSON of that length; data (huggingface/safetensors, README).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError

_LONGEST_HEAD_BYTES = 100_000_000
"""The limit of the safetensors library itself."""

_PIECE_BYTES = 1 << 24


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    """As safetensors writes it: `BF16`, `F32`, ..."""

    shape: tuple[int, ...]
    file: Path
    begin: int
    """Of its numbers in the file, in bytes."""

    num_bytes: int


def read_tensors(folder: Path, names: list[str]) -> list[Tensor]:
    """Of all parts of a model; each tensor once. None of an adapter beside it.

    Raises:
        UserError: A file has no such head.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        if name.endswith(".safetensors") and not name.startswith("adapter_"):
            for tensor in _read_head(folder / name):
                found.setdefault(tensor.name, tensor)
    return list(found.values())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors under new names into one file, a piece of one of them in memory at a time.

    The largest numbers come first, so that every tensor begins at a multiple of their size.
    """
    largest = sorted(
        tensors.items(), key=lambda item: -item[1].num_bytes / max(1, math.prod(item[1].shape))
    )
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in largest:
        offsets = [end, end := end + tensor.num_bytes]
        head[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as target:
        target.write(len(text).to_bytes(8, "little") + text)
        for tensor in (tensor for _, tensor in largest):
            with tensor.file.open("rb") as source:
                source.seek(tensor.begin)
                left = tensor.num_bytes
                while left and (piece := source.read(min(left, _PIECE_BYTES))):
                    target.write(piece)
                    left -= len(piece)


def _read_head(path: Path) -> list[Tensor]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = file.read(size) if size <= _LONGEST_HEAD_BYTES else b""
    try:
        return [
            Tensor(
                name,
                entry["dtype"],
                tuple(entry["shape"]),
                file=path,
                begin=8 + size + entry["data_offsets"][0],
                num_bytes=entry["data_offsets"][1] - entry["data_offsets"][0],
            )
            for name, entry in json.loads(head).items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is not a safetensors file",
            hint="a Git LFS pointer or a page may have been saved instead: download it again",
        ) from error
