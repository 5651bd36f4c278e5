"""What each framework is benchmarked with: as it comes, at its fastest, at its leanest.

Only what changes the cost is chosen here. What changes the result (learning rate, dropout, rank,
order of rows, precision) is the same for all, or the ratio would compare different work. The keys
are those of LLaMA-Factory 0.9.5 and ms-swift 4.6.0.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from bakeoff.schema.bench import Setting
from bakeoff.schema.recipe_train import TrainSpec

LEAN_KEY = "memory"
"""`train.memory: lean`, where the built-in trainer knows it."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What makes a setting, as keys of the recipe."""

    why: str
    train: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        return {**self.train, **({"extra": self.extra} if self.extra else {})}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What decides which documented setting is the best."""

    on_gpu: bool
    packages: Collection[str]
    """Distributions in the backend's environment, by normalised name."""

    @property
    def has_liger(self) -> bool:
        return self.on_gpu and "liger-kernel" in self.packages

    @property
    def has_flash_attention(self) -> bool:
        return self.on_gpu and "flash-attn" in self.packages


def choose(backend: str, setting: Setting, around: Surroundings) -> Chosen | None:
    """The setting of a backend; None where it has none of that kind."""
    if backend == "llamafactory":
        return _llamafactory(setting, around)
    if backend == "swift":
        return _swift(setting, around)
    return _builtin(setting)


def _builtin(setting: Setting) -> Chosen | None:
    if setting != "lean":
        return Chosen(why="its defaults")
    if LEAN_KEY not in TrainSpec.model_fields:
        return None
    return Chosen(why="`train.memory: lean`", train={LEAN_KEY: "lean"})


def _llamafactory(setting: Setting, around: Surroundings) -> Chosen:
    checkpointing = setting != "best"
    extra: dict[str, Any] = {"optim": "adamw_torch_fused"}
    if checkpointing:
        extra["use_reentrant_gc"] = True
    faster: dict[str, Any] = {}
    names = []
    if setting != "default":
        if around.has_liger:
            faster["enable_liger_kernel"] = True
            names.append("Liger kernels")
        if around.has_flash_attention:
            faster["flash_attn"] = "fa2"
            names.append("FlashAttention 2")
    return Chosen(
        why=_words(checkpointing, [*names, "fused AdamW"]),
        train={"gradient_checkpointing": checkpointing},
        extra={**extra, **faster},
    )


def _swift(setting: Setting, around: Surroundings) -> Chosen:
    checkpointing = setting != "best"
    extra: dict[str, Any] = {
        "optim": "adamw_torch_fused",
        # Left out, it decides by itself.
        "use_logits_to_keep": None if setting == "default" else True,
        "dataloader_num_workers": 1 if setting == "default" else 0,
    }
    names = [] if setting == "default" else ["logits at labels only"]
    names.append("1 loader process" if setting == "default" else "no loader process")
    if checkpointing:
        extra["gradient_checkpointing_kwargs"] = {"use_reentrant": True}
    if setting != "default":
        if around.has_liger:
            extra["use_liger_kernel"] = True
            names.append("Liger kernels")
        if around.has_flash_attention:
            extra["attn_impl"] = "flash_attention_2"
            names.append("FlashAttention 2")
    return Chosen(
        why=_words(checkpointing, [*names, "fused AdamW"]),
        train={"gradient_checkpointing": checkpointing},
        extra=extra,
    )


def _words(checkpointing: bool, names: list[str]) -> str:  # noqa: FBT001 - a word of its own
    return ", ".join([f"gradient checkpointing {'on' if checkpointing else 'off'}", *names])
