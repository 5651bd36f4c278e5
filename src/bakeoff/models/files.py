"""The files that make a model: which they are, whether they are safe to load, and their digest."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.base.hashing import digest_file, digest_json, digest_text
from bakeoff.schema.results import ModelManifest

MANIFEST = "manifest.json"
CARDS = ("README.md", "LICENSE", "LICENSE.txt")
"""Kept beside a fetched model, for its licence; no part of what identifies it."""

_INDEX = "model.safetensors.index.json"
_WEIGHTS = re.compile(r"(pytorch_)?(adapter_)?model(-\d+-of-\d+)?\.safetensors")
_PICKLED = re.compile(r".*\.(bin|pt|pth|ckpt|pkl)")
_TOKENIZER_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_OTHERS = frozenset(
    {
        *_TOKENIZER_VOCABULARIES,
        _INDEX,
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "special_tokens_map.json",
        "spiece.model",
        "tokenizer_config.json",
    }
)


def model_files(names: Iterable[str], *, trust_remote_code: bool) -> list[str]:
    """Of a repository's or folder's files those that are needed, in order.

    Weights are safetensors, which hold numbers only. With ``trust_remote_code`` the Python files
    come too, and pickled weights where there are no others.
    """
    top = sorted(name for name in names if "/" not in name)
    weights = [name for name in top if _WEIGHTS.fullmatch(name)]
    if not weights and trust_remote_code:
        weights = [name for name in top if _PICKLED.fullmatch(name)]
    code = [name for name in top if name.endswith(".py")] if trust_remote_code else []
    return sorted({*weights, *code, *(name for name in top if name in _OTHERS)})


def check_names(names: Iterable[str], *, where: str, trust_remote_code: bool) -> None:
    """Whether the files can make a model that is safe to load.

    Raises:
        UserError: Something is missing, or only code that would run when it is loaded is there.
    """
    top = {name for name in names if "/" not in name}
    if "config.json" not in top:
        raise _no_config(top, where)
    if not any(_WEIGHTS.fullmatch(name) for name in top) and not (
        trust_remote_code and any(_PICKLED.fullmatch(name) for name in top)
    ):
        raise _no_weights(top, where)
    if not any(name in top for name in (*_TOKENIZER_VOCABULARIES, "spiece.model")):
        raise UserError(
            f"{where} has no tokenizer: expected one of "
            f"{', '.join(f'`{name}`' for name in _TOKENIZER_VOCABULARIES)}",
            hint="put the tokenizer's files of the same model beside its weights",
        )


def _no_config(top: set[str], where: str) -> UserError:
    if "adapter_config.json" in top:
        return UserError(
            f"{where} is a LoRA adapter, not a whole model",
            hint="name the model that it was trained on, or merge the two first",
        )
    if any(name.endswith(".gguf") for name in top):
        return UserError(
            f"{where} holds a GGUF file, which is made for running a model, not for training it",
            hint="take the same model's repository with safetensors files",
        )
    listed = ", ".join(f"`{name}`" for name in sorted(top)[:8]) or "nothing"
    return UserError(
        f"{where} is not a model: there is no `config.json`; it holds {listed}",
        hint="name the folder that holds config.json, the tokenizer and *.safetensors",
    )


def _no_weights(top: set[str], where: str) -> UserError:
    pickled = sorted(name for name in top if _PICKLED.fullmatch(name))
    if pickled:
        return UserError(
            f"{where} has only pickled weights (`{pickled[0]}`), which can run any code when they "
            "are loaded",
            hint="take a revision with *.safetensors, convert them where you trust the source, or "
            "set `model.trust_remote_code: true`",
        )
    return UserError(
        f"{where} has no weights: expected `model.safetensors` or its parts",
        hint="download it again, large files included",
    )


def check_config(folder: Path, *, trust_remote_code: bool) -> None:
    """Whether the model can be loaded without code of its own.

    Raises:
        UserError: It cannot, and the recipe does not allow it.
    """
    config = _read_object(folder / "config.json")
    if "auto_map" in config and not trust_remote_code:
        raise UserError(
            f"the model in {folder} comes with Python code of its own, which would run on this "
            "machine",
            hint="if you trust its source, set `model.trust_remote_code: true`",
        )


def check_weights(folder: Path) -> None:
    """Whether the safetensors files in ``folder`` are all there and whole.

    Raises:
        UserError: A part is missing or torn.
    """
    if (folder / _INDEX).exists():
        parts = set(_read_object(folder / _INDEX).get("weight_map", {}).values())
        missing = sorted(part for part in parts if not (folder / part).is_file())
        if missing:
            raise UserError(
                f"{folder} lacks {len(missing)} of {len(parts)} files of weights, "
                f"`{missing[0]}` the first",
                hint="download the model again; what is there is kept",
            )
    for path in folder.iterdir():
        if _WEIGHTS.fullmatch(path.name):
            _check_whole(path)


def _check_whole(path: Path) -> None:
    """A safetensors file tells in its head how long it is (format: 8 bytes length, JSON, data)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header = file.read(header_size) if header_size <= size else b""
    try:
        tensors = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
        end = max(tensor["data_offsets"][1] for tensor in tensors.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a safetensors file",
            hint="a Git LFS pointer or a page may have been saved instead: download it again",
        ) from error
    if 8 + header_size + end != size:
        raise UserError(
            f"{path} is not whole: expected {8 + header_size + end} bytes, got {size}",
            hint="download it again",
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}", hint="download it again") from error
    return value if isinstance(value, dict) else {}


def digests(folder: Path, names: Iterable[str], memory_dir: Path | None) -> dict[str, str]:
    """SHA-256 of each file; with ``memory_dir``, of an unchanged file without reading it again."""
    return {name: _digest(folder / name, memory_dir) for name in names}


def _digest(path: Path, memory_dir: Path | None) -> str:
    if memory_dir is None:
        return digest_file(path)
    state = path.stat()
    seen = [str(path.resolve()), state.st_size, state.st_mtime_ns]
    memory = memory_dir / f"{digest_text(str(seen[0]))[:24]}.json"
    if memory.exists() and (known := read_json(memory))["seen"] == seen:
        return str(known["digest"])
    digest = digest_file(path)
    write_json_atomic(memory, {"seen": seen, "digest": digest})
    return digest


def manifest_of(
    folder: Path,
    file_digests: dict[str, str],
    *,
    source: str,
    revision: str | None,
    fetched_from: str | None = None,
) -> ModelManifest:
    return ModelManifest(
        source=source,
        revision=revision,
        fetched_from=fetched_from,
        digest=digest_json(file_digests),
        num_bytes=sum((folder / name).stat().st_size for name in file_digests),
    )


def write_manifest(folder: Path, manifest: ModelManifest) -> None:
    write_json_atomic(folder / MANIFEST, manifest.model_dump(mode="json"))


def read_manifest(folder: Path) -> ModelManifest:
    return ModelManifest.model_validate(read_json(folder / MANIFEST))
