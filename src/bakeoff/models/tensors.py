"""The heads of safetensors files: names, formats and shapes of tensors, without their numbers.

Format: 8 bytes length, little-endian; JSON of that length; data (huggingface/safetensors, README).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import UserError

_LONGEST_HEAD_BYTES = 100_000_000
"""The limit of the safetensors library itself."""


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    """As safetensors writes it: `BF16`, `F32`, ..."""

    shape: tuple[int, ...]


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


def _read_head(path: Path) -> list[Tensor]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = file.read(size) if size <= _LONGEST_HEAD_BYTES else b""
    try:
        return [
            Tensor(name, entry["dtype"], tuple(entry["shape"]))
            for name, entry in json.loads(head).items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a safetensors file",
            hint="a Git LFS pointer or a page may have been saved instead: download it again",
        ) from error
