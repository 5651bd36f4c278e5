"""Capability check: plan x declared capabilities -> problems, before anything is downloaded."""

from collections.abc import Set
from typing import Final

from bakeoff.schema.plan import Dialect, Problem, TrainPlan
from bakeoff.schema.recipe_train import WHOLE_MOMENTS

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


def check_optimizer(plan: TrainPlan, *, on_a_mac: bool = False) -> list[Problem]:
    """Return what a device or a strategy cannot do for the optimiser of the plan.

    Args:
        plan: The training.
        on_a_mac: Where it runs: there `auto` is MPS, and the frameworks have no bitsandbytes.
    """
    name = plan.train.optimizer
    if name == "adamw":
        return []
    problems = []
    if plan.strategy not in WHOLE_MOMENTS:
        message = f"`{name}` keeps the moments of a weight in one piece; `{plan.strategy}` parts it"
        problems.append((message, "`strategy: ddp` or `single`"))
    if plan.device == "mps" or (on_a_mac and plan.device == "auto"):
        problems.append((f"bitsandbytes, which does `{name}`, knows no MPS", "`device: cpu`"))
    elif on_a_mac and plan.backend != "builtin":
        message = f"the environment of `{plan.backend}` has no bitsandbytes for `{name}` on a Mac"
        problems.append((message, "`backend: builtin`"))
    return [
        Problem(
            key="train.optimizer",
            message=message,
            hint=f"set `train.optimizer: adamw`, or {other}",
        )
        for message, other in problems
    ]
