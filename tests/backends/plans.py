"""Plans of trainings, as the planner would make them."""

from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec


def make_plan(**changes) -> TrainPlan:
    values = {
        "id": "0123456789ab",
        "model_id": "model",
        "data_id": "data",
        "backend": "builtin",
        "method": "lora",
        "strategy": "single",
        "device": "cpu",
        "seed": 0,
        "train": TrainSpec(precision="fp32", batch_size=4, max_steps=2),
        "lora": LoraSpec(rank=4),
        "axes": {},
    }
    return TrainPlan(**{**values, **changes})
