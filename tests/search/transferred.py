"""A transfer experiment without its trainings, whose best rates are known."""

import json
import math
from pathlib import Path

import numpy as np

from bakeoff.schema.transfer import TransferResult
from bakeoff.search.transfer_choices import choose
from bakeoff.search.transfer_grid import Grid
from bakeoff.search.transfer_plan import Transfer, prepare_transfer
from bakeoff.search.transfer_result import Scored, make_transfer_result

RECIPE = """
name: t
model: {model}
data: {{source: {data}, num_validation: 4}}
device: cpu
method: [lora, full]
seed: [0, 1, 2]
train:
  learning_rate:
    lora: [4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2]
    full: [4e-5, 8e-5, 1.6e-4, 3.2e-4, 6.4e-4, 1.28e-3]
"""


def prepared_transfer(folder: Path, tiny_model: Path, tiny_data: Path, *overrides: str) -> Transfer:
    path = folder / "t.yaml"
    text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
    path.write_text(text, encoding="utf-8")
    return prepare_transfer(path, overrides, cache_dir=folder / "cache")


def valley(rate, optimum, level):
    return 0.3 + 0.02 * math.log2(rate / optimum) ** 2 + level


def grid_of(transfer, optima, *, noise=0.002):
    """Losses as trainings would leave them, whose optima are known by method."""
    draw = np.random.default_rng(5)
    levels = [0.0, 0.03, -0.02]
    losses, methods = {}, {}
    for step in transfer.grid().plan.steps:
        if step.kind == "train":
            key = (transfer.arm_of(step), tuple(transfer.context_of(step).items()))
            methods[key] = step.method
            row = losses.setdefault(key, {}).setdefault(step.train.learning_rate, [])
            loss = valley(step.train.learning_rate, optima[step.method], levels[step.seed])
            row.append(loss + draw.normal(0, noise))
    return Grid(losses, methods, ())


def scored_of(transfer, choices, optimum):
    return Scored(
        {
            rate: {seed: valley(rate, optimum, 0.01 * seed) for seed in transfer.spec.score_seeds}
            for rate in choices.rates.values()
        },
        (),
    )


def transfer_result(folder: Path, tiny_model: Path, tiny_data: Path) -> TransferResult:
    """Full fine-tuning is best at a tenth of LoRA's rate."""
    transfer = prepared_transfer(folder, tiny_model, tiny_data)
    found = grid_of(transfer, {"lora": 2.4e-3, "full": 2.4e-4})
    choices = choose(found, transfer.spec)
    scores = scored_of(transfer, choices, 2.4e-4)
    return make_transfer_result(transfer, found, choices, scores, extended=())
