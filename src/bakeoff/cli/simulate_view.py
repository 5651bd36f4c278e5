"""Simulated steps for people: one table a way of scaling, strategies down, devices across."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING
from bakeoff.schema.simulation import (
    Cluster,
    Link,
    Scaling,
    SimulatedStep,
    SimulatedTraining,
    Simulation,
)

_FRONT = "\N{BLACK STAR}"
_TITLES: dict[Scaling, str] = {
    "strong": "Equally many rows a step ({rows}), shared by more devices",
    "weak": "Equally many rows a device ({rows}), so that steps grow with the devices",
}


def simulation_view(found: Simulation) -> RenderableType:
    """Every training; what is assumed stands above and below."""
    parts: list[RenderableType] = [
        Text.assemble(("study ", "dim"), (found.study, "bold"), ": ", ("predicted", "yellow"),
                      ", nothing was run"),
        Text(_machines(found.cluster), style="dim"),
        Text(
            f"a device may need {found.limit_bytes / 1e9:.1f} GB and reaches "
            f"{100 * found.mfu:.0f} % of {found.cluster.gpu.bf16_tflops:g} TFLOP/s while it "
            "computes (--mfu)",
            style="dim",
        ),
        Text(),
    ]  # fmt: skip
    for training in found.trainings:
        parts += _training(training)
    parts.append(
        Text(
            f"Lines of a cell: time of a step, efficiency, memory of a device. {_FRONT}: no other "
            "strategy on as many devices needs less time and memory at once. Efficiency: tokens a "
            "second of a device over those of the reference.",
            style="dim",
        )
    )
    return Group(*parts)


def _machines(cluster: Cluster) -> str:
    return (
        f"machines with {cluster.devices_per_node} x {cluster.gpu.title}, {cluster.inside.title} "
        f"inside, {cluster.num_adapters} x {cluster.between.title} between"
    )


def _training(training: SimulatedTraining) -> Iterator[RenderableType]:
    name = ", ".join(f"{key}={value}" for key, value in training.cell.items())
    yield Text(name, style="bold")
    if training.problem is not None:
        yield Text(training.problem, style="yellow")
    for scaling, advice in training.advice.items():
        steps = [step for step in training.steps if step.scaling == scaling]
        rows = steps[0].rows_per_step // (1 if scaling == "strong" else steps[0].num_devices)
        yield Text()
        yield Text(_TITLES[scaling].format(rows=rows))
        yield _table(steps)
        held = training.reference.get(scaling)
        against = f" Efficiency is against {held}." if held else ""
        yield Text(f"Predicted: {advice}{against}", style="cyan")
        yield from _parts(steps)
    yield Text(f"  {'; '.join(training.assumptions)}", style="dim")
    yield Text()


def _table(steps: Sequence[SimulatedStep]) -> Table:
    numbers = sorted({step.num_devices for step in steps})
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("strategy", no_wrap=True)
    for number in numbers:
        table.add_column(f"{number:,}", justify="right", no_wrap=True)
    for strategy in dict.fromkeys(step.strategy for step in steps):
        by_number = {step.num_devices: step for step in steps if step.strategy == strategy}
        cells = [_cell(by_number[n]) if n in by_number else Text(MISSING) for n in numbers]
        table.add_row(strategy, *cells)
    return table


def _cell(step: SimulatedStep) -> Text:
    memory = f"{step.needed_bytes / 1e9:.3g} GB"
    if not step.fits:
        return Text(f"too large\n\n{memory}", style="red")
    mark = f"{_FRONT} " if step.on_front else ""
    share = MISSING if step.efficiency is None else f"{100 * step.efficiency:.0f} %"
    return Text(f"{mark}{_seconds(step.seconds)}\n{share}\n{memory}")


def _parts(steps: Sequence[SimulatedStep]) -> Iterator[Text]:
    """Where the time goes on the largest number of devices, for the fastest that fits there."""
    fitting = [step for step in steps if step.fits]
    if not fitting:
        return
    most = max(step.num_devices for step in fitting)
    step = min((s for s in fitting if s.num_devices == most), key=lambda s: s.seconds)
    offload = f", {_seconds(step.offload_seconds)} for the host" if step.offload_seconds else ""
    unhidden = step.seconds + step.exchange_seconds - step.exposed_seconds
    yield Text(
        f"  {step.strategy} on {step.num_devices:,}: {_seconds(step.compute_seconds)} computing, "
        f"{_seconds(step.exposed_seconds)} waiting for the exchange{offload}, "
        f"{_seconds(step.optimizer_seconds)} optimiser; each sends {step.sent_bytes / 1e9:.3g} GB "
        f"in {_seconds(step.exchange_seconds)}: {_seconds(unhidden)} a step if none of it were "
        "hidden",
        style="dim",
    )


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 0.1 or value == 0 else f"{1e3 * value:.3g} ms"


def links_table(links: Sequence[Link]) -> Table:
    """Every link that ``--inside`` and ``--between`` take."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("option", "name", "link", "one way"):
        table.add_column(column, no_wrap=True)
    for link in links:
        speed = f"{link.gigabytes_per_second:g} GB/s"
        table.add_row(f"--{link.place}", link.key, link.title, speed)
    return table
