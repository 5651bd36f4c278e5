"""A model with fewer layers: a small stand-in for it, made once from its own files.

**Which layers**: the first half of them from the beginning, the others from the end; a block in the
middle is left out (the symmetric dropping of Sajjad et al. 2023, arXiv:2004.03844; Gromov et al.
2024, arXiv:2403.17887, and Men et al. 2024, arXiv:2403.03853, cut one block of a decoder too, and
keep its last layers). Then a single layer reads what it did not learn to read, and the output layer
still stands behind the layers that write for it. Measured with 15 of the 30 layers of SmolLM2-135M,
loss a token of GSM8K, before and after sixteen steps of training: 6.9 and 4.0; evenly spaced 14.2
and 6.3, the first fifteen 19.0 and 7.4; the whole model 2.8 and 2.3.

The copy is a checkpoint as any other, so that every trainer and every engine reads it. Tensors are
copied as bytes, and the configuration as its author wrote it but for what counts or lists layers.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole, read_json, require_free_bytes, write_json_atomic
from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import folder_name
from bakeoff.models.files import (
    CARDS,
    MANIFEST,
    digests,
    manifest_of,
    model_files,
    read_manifest,
    write_manifest,
)
from bakeoff.models.tensors import Tensor, read_tensors, write_tensors
from bakeoff.schema.recipe_subject import ModelSpec
from bakeoff.schema.results import ModelManifest

VERSION = 1
"""Raised whenever another copy would be made of the same files."""

_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_NUMBERED = re.compile(r"(|.*?\.)(\d+)(\..+)")
_BY_POSITION = (
    "sliding_window_pattern",
    "full_attention_interval",
    "no_rope_layer_interval",
    "interleave_moe_layer_step",
    "decoder_sparse_step",
    "attn_layer_period",
    "num_kv_shared_layers",
)
_ALTERNATING = ("gemma2", "gemma3", "gemma3_text", "cohere2", "gpt_neo")
"""Kinds whose code makes layers differ by their number, whatever the configuration says."""


@dataclass(frozen=True)
class Shortening:
    """A model on disk and how many of its layers are wanted."""

    folder: Path
    spec: ModelSpec
    wanted: int
    total: int

    def target(self, cache_dir: Path) -> Path:
        """Where the copy lies or will lie; the model itself if all of its layers are wanted."""
        if self.wanted == self.total:
            return self.folder
        content = digests(self.folder, self.files(), cache_dir / "digests")
        name = folder_name(re.sub(r"-[0-9a-f]{12}$", "", self.folder.name))
        digest = digest_json([content, self.wanted, VERSION])
        return cache_dir / "models" / f"{name}-{self.wanted}-layers-{digest[:12]}"

    def files(self) -> list[str]:
        return model_files(
            (path.name for path in self.folder.iterdir()),
            trust_remote_code=self.spec.trust_remote_code,
        )


def shortening_of(folder: Path, spec: ModelSpec) -> Shortening | None:
    """What is asked of the model in ``folder``; None: all of it.

    Raises:
        UserError: It has fewer layers, or does not tell how many.
    """
    if spec.num_hidden_layers is None:
        return None
    wanted, total = spec.num_hidden_layers, _num_layers(_config(folder))
    if total is None:
        raise _no_decoder(folder, "its config.json tells no number of layers")
    if wanted > total:
        raise UserError(
            f"`model.num_hidden_layers` asks for {wanted} layers of {spec.source}, which has "
            f"{total}",
            hint=f"name a number below {total}, or leave the key out for the whole model",
        )
    return Shortening(folder, spec, wanted, total)


def shorten(
    asked: Shortening, manifest: ModelManifest, cache_dir: Path
) -> tuple[Path, ModelManifest]:
    """The copy, made if need be; called by one process at a time for one model.

    Raises:
        UserError: A layer of the model cannot take the place of another, or there is no room.
    """
    target = asked.target(cache_dir)
    if target == asked.folder:
        return target, manifest
    if not (target / MANIFEST).exists():
        what = f"a copy of {manifest.source} with {asked.wanted} layers"
        require_free_bytes(target, manifest.num_bytes, what)
        with folder_when_whole(target) as made:
            _write_copy(asked, made)
            found = digests(made, replace(asked, folder=made).files(), None)
            source = f"{manifest.source} ({asked.wanted} of {asked.total} layers)"
            copy = manifest_of(made, found, source=source, revision=manifest.revision)
            write_manifest(made, copy)
    return target, read_manifest(target)


def kept_layers(wanted: int, total: int) -> list[int]:
    """Numbers of the layers that stay, in order."""
    from_the_end = wanted // 2
    return [*range(wanted - from_the_end), *range(total - from_the_end, total)]


@dataclass(frozen=True)
class _Stack:
    """The decoder's layers among the tensors of a model: all below ``prefix`` and a number."""

    prefix: str
    total: int

    def place_of(self, name: str) -> tuple[int, str] | None:
        """Number of its layer and name within it; None of a tensor that stands outside."""
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1] != self.prefix:
            return None
        return int(match[2]), match[3]


def _write_copy(asked: Shortening, made: Path) -> None:
    folder, names, config = asked.folder, asked.files(), _config(asked.folder)
    tensors = read_tensors(folder, names)
    stack = _stack_of(tensors, asked.total, folder)
    _check_alike(tensors, stack, config, folder)
    kept = kept_layers(asked.wanted, asked.total)
    write_tensors(made / "model.safetensors", _renamed(tensors, stack, kept))
    write_json_atomic(made / "config.json", _cut(config, asked.total, kept))
    cards = [name for name in CARDS if (folder / name).is_file()]
    for name in [*names, *cards]:
        if ".safetensors" not in name and name != "config.json":
            shutil.copyfile(folder / name, made / name)


def _stack_of(tensors: Sequence[Tensor], total: int, folder: Path) -> _Stack:
    numbers: dict[str, set[int]] = {}
    for tensor in tensors:
        if match := _NUMBERED.fullmatch(tensor.name):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    found = [prefix for prefix, there in numbers.items() if there == set(range(total))]
    if len(found) != 1:
        listed = ", ".join(f"`{prefix}N`" for prefix in found) or "none"
        raise _no_decoder(folder, f"{total} numbered layers were looked for, found: {listed}")
    return _Stack(found[0], total)


def _check_alike(
    tensors: Sequence[Tensor], stack: _Stack, config: Mapping[str, Any], folder: Path
) -> None:
    """Whether a layer can take another's number: made alike, or listed in the configuration."""
    lists = list(_lists_of_layers(config, stack.total))
    reason = None if lists else _differing_by_position(config)
    made_of: dict[int, set[tuple[str, str, tuple[int, ...]]]] = {}
    for tensor in tensors:
        if place := stack.place_of(tensor.name):
            made_of.setdefault(place[0], set()).add((place[1], tensor.dtype, tensor.shape))
    kinds: dict[str, int] = {}
    for number, parts in sorted(made_of.items()):
        first = kinds.setdefault(repr([values[number] for values in lists]), number)
        if made_of[first] != parts:
            reason = f"layers {first} and {number} are made of other tensors"
    if reason is not None:
        raise UserError(
            f"the layers of the model in {folder} differ by their position ({reason}): "
            "some of them make no smaller copy of it",
            hint="take a smaller model of its family as the stand-in: `proxy: {model: ID}`",
        )


def _differing_by_position(config: Mapping[str, Any]) -> str | None:
    for part in _parts(config):
        if part.get("model_type") in _ALTERNATING:
            return f"as those of every `{part['model_type']}`"
        if part.get("use_sliding_window") and part.get("max_window_layers"):
            return "`max_window_layers`"
        for key in _BY_POSITION:
            if part.get(key) not in (None, 0, 1):
                return f"`{key}`"
    return None


def _renamed(tensors: Sequence[Tensor], stack: _Stack, kept: Sequence[int]) -> Mapping[str, Tensor]:
    new_numbers = {old: new for new, old in enumerate(kept)}
    renamed = {}
    for tensor in tensors:
        place = stack.place_of(tensor.name)
        if place is None:
            renamed[tensor.name] = tensor
        elif place[0] in new_numbers:
            renamed[f"{stack.prefix}{new_numbers[place[0]]}{place[1]}"] = tensor
    return renamed


def _cut(config: Mapping[str, Any], total: int, kept: Sequence[int]) -> dict[str, Any]:
    """The configuration, with what counts layers or lists one entry a layer made to fit."""
    cut: dict[str, Any] = {}
    for key, value in config.items():
        if key == "text_config" and isinstance(value, Mapping):
            cut[key] = _cut(value, total, kept)
        elif key in _COUNTS and value == total:
            cut[key] = len(kept)
        elif _is_by_layer(key, value, total):
            cut[key] = [value[number] for number in kept]
        else:
            cut[key] = value
    return cut


def _lists_of_layers(config: Mapping[str, Any], total: int) -> Iterator[list[Any]]:
    for part in _parts(config):
        yield from (value for key, value in part.items() if _is_by_layer(key, value, total))


def _is_by_layer(key: str, value: Any, total: int) -> bool:
    is_of_tokens = key.endswith(("_id", "_ids"))  # several ends of a text
    return isinstance(value, list) and len(value) == total and not is_of_tokens


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is said of the language model: a model of text and images says it one level below."""
    yield config
    if isinstance(inner := config.get("text_config"), Mapping):
        yield inner


def _num_layers(config: Mapping[str, Any]) -> int | None:
    stated = [part[key] for part in _parts(config) for key in _COUNTS if part.get(key)]
    is_decoder = stated and not config.get("is_encoder_decoder")
    return int(stated[-1]) if is_decoder else None


def _no_decoder(folder: Path, reason: str) -> UserError:
    return UserError(
        f"the model in {folder} cannot be shortened: no single stack of decoder layers ({reason})",
        hint="`model.num_hidden_layers` takes decoders with safetensors weights; leave it out, or "
        "name a smaller model",
    )


def _config(folder: Path) -> dict[str, Any]:
    value = read_json(folder / "config.json")
    return value if isinstance(value, dict) else {}
