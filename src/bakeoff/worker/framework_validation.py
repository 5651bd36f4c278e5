"""The validation loss of what a framework trains, computed as the built-in trainer does."""

from typing import Any

import torch

from bakeoff.worker import batches
from bakeoff.worker.events import Events
from bakeoff.worker.loss import divided_cross_entropy, logits_of_targets
from bakeoff.worker.modelling import accepts
from bakeoff.worker.rows import Row


@torch.no_grad()
def validate(
    model: Any, rows: list[Row], *, batch_size: int, pad_token: int, step: int, events: Events
) -> None:
    """Write the loss per label token over all rows; nothing when there are none."""
    if not rows:
        return
    events.phase("validate")
    was_training = model.training
    model.eval()
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    can_keep_logits = accepts(base, "logits_to_keep")
    device = next(model.parameters()).device
    num_targets = sum(row.num_targets for row in rows)
    portions = batches.micro_batches(rows, batch_size, by_length=True)
    total = 0.0
    for number, portion in enumerate(portions, start=1):
        batch = batches.pad(portion, pad_token=pad_token).to(device)
        logits = logits_of_targets(model, batch, can_keep_logits=can_keep_logits)
        total += float(divided_cross_entropy(logits, batch.targets, num_targets))
        events.progress(number, len(portions), "batches")
    model.train(was_training)
    events.validation(step=step, loss=total, num_label_tokens=num_targets)
