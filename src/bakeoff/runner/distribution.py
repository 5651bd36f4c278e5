"""A strategy and a backend agree on how one training is spread."""

from bakeoff.backends import BACKENDS
from bakeoff.planning.check import common_dialect
from bakeoff.schema.plan import Dialect, Distribution, TrainPlan
from bakeoff.strategies import STRATEGIES


def distribution_of(plan: TrainPlan) -> Distribution | None:
    """What the plan's strategy says to its backend; None: it is one plain process."""
    strategy = STRATEGIES.get(plan.strategy)()
    dialect = common_dialect(strategy.speaks, BACKENDS.get(plan.backend).accepts)
    if dialect is None or dialect is Dialect.PLAIN:
        return None
    settings = dict(strategy.tell(dialect, plan))
    return Distribution(dialect=dialect, world=plan.world, settings=settings)
