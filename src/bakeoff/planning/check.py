"""Capability check: plan x declared capabilities -> problems, before anything is downloaded."""

from collections.abc import Set
from typing import Final

from bakeoff.schema.plan import Dialect, Problem, TrainPlan

_MOST_TELLING_FIRST: Final = (
    Dialect.DEEPSPEED_JSON,
    Dialect.HF_FSDP,
    Dialect.TORCHRUN,
    Dialect.PLAIN,
)


def common_dialect(speaks: Set[Dialect], accepts: Set[Dialect]) -> Dialect | None:
    """What a strategy and a backend talk to each other in; None: they do not understand."""
    return next((d for d in _MOST_TELLING_FIRST if d in speaks and d in accepts), None)


def check_distribution(
    plan: TrainPlan, *, speaks: Set[Dialect], accepts: Set[Dialect]
) -> list[Problem]:
    """Return a problem when backend and strategy share no dialect."""
    if common_dialect(speaks, accepts) is not None:
        return []
    return [
        Problem(
            key="strategy",
            message=f"`{plan.backend}` cannot run `{plan.strategy}`: it understands "
            f"{', '.join(sorted(accepts))}; the strategy speaks {', '.join(sorted(speaks))}",
            hint="choose another strategy or another backend",
        )
    ]


def check_optimizer(plan: TrainPlan) -> list[Problem]:
    """Return a problem when the strategy cannot spread the optimiser's state."""
    if plan.train.optimizer == "adamw" or plan.strategy in ("single", "ddp"):
        return []
    return [
        Problem(
            key="train.optimizer",
            message=f"`{plan.train.optimizer}` keeps the moments of a weight in one piece, which "
            f"`{plan.strategy}` would part",
            hint="set `train.optimizer: adamw`, or `strategy: ddp` or `single`",
        )
    ]
