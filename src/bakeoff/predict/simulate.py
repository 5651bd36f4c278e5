"""What to say of many predicted steps: efficiency, which are worth having, and what to take."""

from collections.abc import Iterable, Sequence

from bakeoff.base.pareto import beats
from bakeoff.schema.simulation import Scaling, SimulatedStep

ALONE = "single"
_WORTH = 0.75
"""Efficiency from which on further devices are called worth having."""


def reference_of(steps: Sequence[SimulatedStep]) -> SimulatedStep | None:
    """One device alone, if it holds the training; else the fastest on the fewest that do."""
    fitting = [step for step in steps if step.fits]
    alone = [step for step in fitting if step.strategy == ALONE]
    fewest = min((step.num_devices for step in fitting), default=0)
    least = [step for step in fitting if step.num_devices == fewest]
    return min(alone or least, key=lambda step: step.seconds, default=None)


def with_efficiency(
    steps: Iterable[SimulatedStep], reference: SimulatedStep | None
) -> list[SimulatedStep]:
    """Tokens a second of a device over those of the reference."""
    if reference is None:
        return list(steps)
    each = reference.tokens_per_second / reference.num_devices
    return [
        step.model_copy(update={"efficiency": step.tokens_per_second / step.num_devices / each})
        for step in steps
    ]


def with_front(steps: Sequence[SimulatedStep]) -> list[SimulatedStep]:
    """Marks, for each number of devices, what no other beats in memory and time at once."""
    return [step.model_copy(update={"on_front": _is_on_front(step, steps)}) for step in steps]


def _is_on_front(step: SimulatedStep, steps: Sequence[SimulatedStep]) -> bool:
    mine = (step.needed_bytes, step.seconds)
    others = [
        (other.needed_bytes, other.seconds)
        for other in steps
        if other.fits and other.num_devices == step.num_devices
    ]
    return step.fits and not any(beats(other, mine) for other in others)


def advise(steps: Sequence[SimulatedStep], scaling: Scaling, gpu: str) -> str:
    """One sentence: the fewest devices, and how many more are worth having."""
    best: dict[int, SimulatedStep] = {}
    for step in sorted(steps, key=lambda step: step.seconds):
        if step.fits:
            best.setdefault(step.num_devices, step)
    if not best:
        least = min(steps, key=lambda step: step.needed_bytes)
        return (
            f"Nothing fits: `{least.strategy}` on {least.num_devices} would need least, "
            f"{_gb(least.needed_bytes)} a device; take more devices or smaller passes."
        )
    fewest = best[min(best)]
    text = f"{_named(fewest, gpu)} is the least that holds it ({_figures(fewest)})"
    worth = [step for step in best.values() if (step.efficiency or 0) >= _WORTH]
    most = max(worth, key=lambda step: step.num_devices, default=fewest)
    if most.num_devices > fewest.num_devices:
        share = round(100 * (most.efficiency or 0))
        text += f"; more pay up to {_named(most, gpu)} ({_figures(most)}, {share} % efficient)"
    return text + _limit(most, best, scaling)


def _limit(most: SimulatedStep, best: dict[int, SimulatedStep], scaling: Scaling) -> str:
    """Why not more."""
    more = [step for number, step in best.items() if number > most.num_devices]
    if not more:
        return "."
    following = min(more, key=lambda step: step.num_devices)
    share = round(100 * (following.efficiency or 0))
    if scaling == "strong" and following.num_devices > following.rows_per_step:
        return (
            f"; {following.num_devices} have no more than {following.rows_per_step} rows a step to "
            "share, so some idle."
        )
    return f"; {following.num_devices} reach {share} %."


def _named(step: SimulatedStep, gpu: str) -> str:
    return f"`{step.strategy}` on {step.num_devices} x {gpu}"


def _figures(step: SimulatedStep) -> str:
    return f"{step.seconds:.3g} s a step, {_gb(step.needed_bytes)} each"


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.3g} GB"
