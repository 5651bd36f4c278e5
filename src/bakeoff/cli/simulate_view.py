"""Simulated steps for people: one table a way of scaling, strategies down, devices across."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare import simulation_words as words
from bakeoff.compare.numbers import MISSING
from bakeoff.schema.simulation import Link, SimulatedStep, SimulatedTraining, Simulation

_FRONT = "\N{BLACK STAR}"


def simulation_view(found: Simulation) -> RenderableType:
    """Every training; what is assumed stands above and below."""
    parts: list[RenderableType] = [
        Text.assemble(("study ", "dim"), (found.study, "bold"), ": ", ("predicted", "yellow"),
                      ", nothing was run"),
        Text(words.machines(found.cluster), style="dim"),
        Text(words.device_limits(found), style="dim"),
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


def _training(training: SimulatedTraining) -> Iterator[RenderableType]:
    name = ", ".join(f"{key}={value}" for key, value in training.cell.items())
    yield Text(name, style="bold")
    if training.problem is not None:
        yield Text(training.problem, style="yellow")
    for scaling, title, steps in words.steps_by_scaling(training):
        yield Text()
        yield Text(title)
        yield _table(steps)
        yield Text(words.advice(training, scaling), style="cyan")
        fastest = words.parts_of_fastest(steps)
        if fastest is not None:
            yield Text(f"  {fastest}", style="dim")
    yield Text(f"  {'; '.join(training.assumptions)}", style="dim")
    yield Text()


def _table(steps: Sequence[SimulatedStep]) -> Table:
    numbers, rows = words.by_strategy(steps)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("strategy", no_wrap=True)
    for number in numbers:
        table.add_column(f"{number:,}", justify="right", no_wrap=True)
    for strategy, found in rows.items():
        table.add_row(strategy, *map(_cell, found))
    return table


def _cell(step: SimulatedStep | None) -> Text:
    if step is None:
        return Text(MISSING)
    lines = words.cell_lines(step)
    if not step.fits:
        return Text("\n\n".join(lines), style="red")
    mark = f"{_FRONT} " if step.on_front else ""
    return Text(mark + "\n".join(lines))


def links_table(links: Sequence[Link]) -> Table:
    """Every link that ``--inside`` and ``--between`` take."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("option", "name", "link", "one way"):
        table.add_column(column, no_wrap=True)
    for link in links:
        speed = f"{link.gigabytes_per_second:g} GB/s"
        table.add_row(f"--{link.place}", link.key, link.title, speed)
    return table
