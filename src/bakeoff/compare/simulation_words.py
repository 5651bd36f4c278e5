"""What terminal and page say alike of simulated steps. Every number is a prediction."""

from collections.abc import Iterator, Sequence

from bakeoff.compare.numbers import MISSING
from bakeoff.schema.simulation import (
    Cluster,
    Scaling,
    SimulatedStep,
    SimulatedTraining,
    Simulation,
)

_TITLES: dict[Scaling, str] = {
    "strong": "Equally many rows a step ({rows}), shared by more devices",
    "weak": "Equally many rows a device ({rows}), so that steps grow with the devices",
}


def machines(cluster: Cluster) -> str:
    return (
        f"machines with {cluster.devices_per_node} x {cluster.gpu.title}, {cluster.inside.title} "
        f"inside, {cluster.num_adapters} x {cluster.between.title} between"
    )


def device_limits(found: Simulation) -> str:
    return (
        f"a device may need {found.limit_bytes / 1e9:.1f} GB and reaches "
        f"{100 * found.mfu:.0f} % of {found.cluster.gpu.bf16_tflops:g} TFLOP/s while it "
        "computes (--mfu)"
    )


def steps_by_scaling(
    training: SimulatedTraining,
) -> Iterator[tuple[Scaling, str, Sequence[SimulatedStep]]]:
    """Of each way of scaling its title and its steps."""
    for scaling in training.advice:
        steps = [step for step in training.steps if step.scaling == scaling]
        rows = steps[0].rows_per_step // (1 if scaling == "strong" else steps[0].num_devices)
        yield scaling, _TITLES[scaling].format(rows=rows), steps


def by_strategy(
    steps: Sequence[SimulatedStep],
) -> tuple[list[int], dict[str, list[SimulatedStep | None]]]:
    """Numbers of devices, and of each strategy its step on each; None: it was not simulated."""
    numbers = sorted({step.num_devices for step in steps})
    placed = {(step.strategy, step.num_devices): step for step in steps}
    names = dict.fromkeys(step.strategy for step in steps)
    return numbers, {name: [placed.get((name, number)) for number in numbers] for name in names}


def advice(training: SimulatedTraining, scaling: Scaling) -> str:
    held = training.reference.get(scaling)
    against = f" Efficiency is against {held}." if held else ""
    return f"Predicted: {training.advice[scaling]}{against}"


def cell_lines(step: SimulatedStep) -> tuple[str, ...]:
    """Time, efficiency and memory of a step; of one that does not fit what it would need."""
    memory = f"{step.needed_bytes / 1e9:.3g} GB"
    if not step.fits:
        return "too large", memory
    share = MISSING if step.efficiency is None else f"{100 * step.efficiency:.0f} %"
    return seconds(step.seconds), share, memory


def parts_of_fastest(steps: Sequence[SimulatedStep]) -> str | None:
    """Where the time goes on the largest number of devices, for the fastest that fits there."""
    fitting = [step for step in steps if step.fits]
    if not fitting:
        return None
    most = max(step.num_devices for step in fitting)
    step = min((s for s in fitting if s.num_devices == most), key=lambda s: s.seconds)
    offload = f", {seconds(step.offload_seconds)} for the host" if step.offload_seconds else ""
    unhidden = step.seconds + step.exchange_seconds - step.exposed_seconds
    return (
        f"{step.strategy} on {step.num_devices:,}: {seconds(step.compute_seconds)} computing, "
        f"{seconds(step.exposed_seconds)} waiting for the exchange{offload}, "
        f"{seconds(step.optimizer_seconds)} optimiser; each sends {step.sent_bytes / 1e9:.3g} GB "
        f"in {seconds(step.exchange_seconds)}: {seconds(unhidden)} a step if none of it were "
        "hidden"
    )


def seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 0.1 or value == 0 else f"{1e3 * value:.3g} ms"
