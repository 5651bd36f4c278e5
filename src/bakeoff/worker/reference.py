"""The loss of the first step, computed in the plainest way there is: what every trainer must meet.

One row at a time, no padding, no packing, no adapter, all logits, weights in fp32.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from bakeoff.worker.batches import Order
from bakeoff.worker.machine import choose_device, write_json_atomic
from bakeoff.worker.rows import IGNORED, Row, read_rows
from bakeoff.worker.settings import read_job
from bakeoff.worker.tokenizing import tokenize


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Write ``result.json``: the mean loss over the label tokens of the first step, and its rows.

    Args:
        job: of a training by the built-in trainer.
        run_dir: where the result goes.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settings = read_job(job)
    trust = settings.trust_remote_code
    tokenizer = AutoTokenizer.from_pretrained(settings.model_dir, trust_remote_code=trust)
    model = AutoModelForCausalLM.from_pretrained(
        settings.model_dir, dtype=torch.float32, trust_remote_code=trust
    )
    model = model.to(choose_device(settings.device)).eval()
    rows = tokenize(
        read_rows(settings.data_dir / "train.jsonl"),
        tokenizer,
        max_length=settings.train.max_length,
        overlong=settings.train.overlong,
        loss_on=settings.train.loss_on,
    ).rows
    order = Order(len(rows), settings.rows_per_step, settings.seed)
    first = [rows[index] for index in next(order.steps(0, 1))]
    total = sum(_summed_loss(model, row) for row in first)
    write_json_atomic(
        run_dir / "result.json",
        {
            "loss": total / sum(row.num_targets for row in first),
            "rows": [{"token_ids": row.token_ids, "labels": row.labels} for row in first],
        },
    )


@torch.no_grad()
def _summed_loss(model: Any, row: Row) -> float:
    ids = torch.tensor([row.token_ids], device=model.device)
    labels = torch.tensor(row.labels[1:], device=model.device)
    logits = model(input_ids=ids).logits[0, :-1].float()
    return float(functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum"))
