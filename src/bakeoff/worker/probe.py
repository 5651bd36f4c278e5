"""What a trainer really does, seen from inside its process: the evidence for `bakeoff parity`.

Nothing here asks a trainer for its settings: rows are those that its model reads, rates and decay
those with which its optimiser steps, number formats those of the tensors at that moment.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from bakeoff.worker.machine import write_json_atomic

PROBE = "probe.json"

_IGNORED = -100


class Probe:
    """Watches one training; every method is called in the order in which things happen."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._steps: list[dict[str, Any]] = []
        self._rows: list[dict[str, list[int]]] = []
        self._logit_places: list[int] = []
        self._handles: list[Any] = [register_optimizer_step_post_hook(self._after_step)]

    def watch(self, model: Any, *, tokenizer: Any, adapter: Any = None) -> None:
        """The model is ready for training.

        Args:
            model: as it will be called.
            tokenizer: of the training.
            adapter: what knows of the adapter's settings, if that is not ``model``.
        """
        self._facts.update(
            {
                "eos_token_id": tokenizer.eos_token_id,
                "bos_token_id": tokenizer.bos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
                "trained_dtypes": _dtypes(p for p in model.parameters() if p.requires_grad),
                "frozen_dtypes": _dtypes(p for p in model.parameters() if not p.requires_grad),
                "gradient_checkpointing": bool(getattr(model, "is_gradient_checkpointing", False)),
                "adapter": _adapter(adapter or model),
            }
        )
        head = model.get_output_embeddings()
        self._handles.append(head.register_forward_pre_hook(self._before_head))

    def rows(self, token_ids: Iterable[list[int]], labels: Iterable[list[int]]) -> None:
        """The rows of one forward pass, without padding; -100 where nothing is learned."""
        self._rows += [
            {"token_ids": ids, "labels": learned}
            for ids, learned in zip(token_ids, labels, strict=True)
        ]

    def read_rows_of(self, model: torch.nn.Module) -> None:
        """As :meth:`rows`, from the tensors (rows, width) that ``model`` is given in training."""
        self._handles.append(model.register_forward_pre_hook(self._before, with_kwargs=True))

    def _before(self, model: torch.nn.Module, _: Any, inputs: dict[str, Any]) -> None:
        if not model.training:
            return
        ids, labels = inputs["input_ids"].cpu(), inputs["labels"].cpu()
        mask = inputs.get("attention_mask")
        kept = torch.ones_like(ids) if mask is None or mask.dim() != 2 else mask.cpu()
        # A trainer that computes the last logits only may hand over the last labels only.
        missing = ids.shape[1] - labels.shape[1]
        labels = torch.nn.functional.pad(labels, (missing, 0), value=_IGNORED)
        self.rows(
            [row[here.bool()].tolist() for row, here in zip(ids, kept, strict=True)],
            [row[here.bool()].tolist() for row, here in zip(labels, kept, strict=True)],
        )

    def logits(self, num_places: int) -> None:
        """Logits are computed at so many places, past the output layer that is watched."""
        self._logit_places.append(num_places)

    def write(self, run_dir: Path) -> None:
        """Stop watching and write ``probe.json``."""
        for handle in self._handles:
            handle.remove()
        write_json_atomic(run_dir / PROBE, {**self._facts, "steps": self._steps})

    def _before_head(self, _: Any, arguments: tuple[Any, ...]) -> None:
        self._logit_places.append(arguments[0].shape[:-1].numel())

    def _after_step(self, optimizer: Any, _: Any, __: Any) -> None:
        if not self._rows:
            return  # an optimiser that is tried out before the training
        states = [value for state in optimizer.state.values() for value in state.items()]
        self._steps.append(
            {
                "rows": self._rows,
                "num_logit_places": sum(self._logit_places),
                "optimizer": type(optimizer).__name__,
                "optimizer_dtypes": _dtypes(
                    value
                    for name, value in states
                    if name != "step" and isinstance(value, torch.Tensor)
                ),
                "groups": [_group(group) for group in optimizer.param_groups],
            }
        )
        self._rows, self._logit_places = [], []


def _dtypes(tensors: Iterable[torch.Tensor]) -> dict[str, int]:
    """Numbers in each format."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return dict(counts)


def _group(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "learning_rate": float(group["lr"]),
        "betas": [float(beta) for beta in group.get("betas", ())],
        "epsilon": group.get("eps"),
        "weight_decay": group.get("weight_decay"),
        "num_parameters": sum(parameter.numel() for parameter in group["params"]),
    }


def _adapter(model: Any) -> dict[str, Any] | None:
    """Settings of the adapter, and the layers that really carry one."""
    config = getattr(model, "peft_config", {}).get("default")
    if config is None:
        return None
    carriers = {
        name.rpartition(".lora_A")[0].rpartition(".")[2]
        for name, _ in model.named_modules()
        if name.endswith(".lora_A")
    }
    return {
        "rank": config.r,
        "alpha": float(config.lora_alpha),
        "dropout": float(config.lora_dropout),
        "layers": sorted(carriers),
        "bias": config.bias,
        "use_rslora": bool(config.use_rslora),
        "use_dora": bool(config.use_dora),
        "init": config.init_lora_weights,
    }
