"""Capability check: plan x declared capabilities -> problems, before anything is downloaded."""

from collections.abc import Set

from bakeoff.schema.plan import Dialect, Problem, TrainPlan


def check_distribution(
    plan: TrainPlan, *, speaks: Set[Dialect], accepts: Set[Dialect]
) -> list[Problem]:
    """Return a problem when backend and strategy share no dialect."""
    if speaks & accepts:
        return []
    return [
        Problem(
            key="strategy",
            message=f"`{plan.backend}` cannot run `{plan.strategy}`: it understands "
            f"{', '.join(sorted(accepts))}; the strategy speaks {', '.join(sorted(speaks))}",
            hint="choose another strategy or another backend",
        )
    ]
