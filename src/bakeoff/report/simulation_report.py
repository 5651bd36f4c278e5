"""The report of a simulation."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.compare import simulation_words as words
from bakeoff.compare.numbers import MISSING
from bakeoff.report.document import ReportPaths
from bakeoff.report.figures import Figure
from bakeoff.report.page import Page, Section, Verdict, write_page
from bakeoff.report.simulation_charts import efficiency_chart, memory_chart
from bakeoff.report.table import Cell, Column, Table
from bakeoff.schema.simulation import SimulatedStep, SimulatedTraining, Simulation

_NOTE = (
    "A cell: time of a step, efficiency, memory of a device. Green: no other strategy on as many "
    "devices needs less time and memory at once."
)


def write_simulation_report(
    found: Simulation, folder: Path, command_line: Sequence[str]
) -> ReportPaths:
    """Write ``report.md``, ``report.html`` and pictures into ``folder``."""
    return write_page(simulation_page(found, command_line), folder)


def simulation_page(found: Simulation, command_line: Sequence[str]) -> Page:
    """All that the report says, its pictures drawn."""
    return Page(
        kind="Prediction: training on many devices",
        title=found.study,
        facts=[
            ("Nothing was run", "every number here is predicted"),
            ("Devices", words.machines(found.cluster)),
            ("Limits", words.device_limits(found)),
        ],
        verdicts=[
            Verdict(f"{_cell(training)}, {scaling}: {words.advice(training, scaling)}", "unsure")
            for training in found.trainings
            for scaling in training.advice
        ],
        warnings=[
            f"{_cell(training)}: {training.problem}"
            for training in found.trainings
            if training.problem is not None
        ],
        sections=list(_sections(found)),
        command=shlex.join(command_line),
    )


def _sections(found: Simulation) -> Iterator[Section]:
    for number, training in enumerate(found.trainings):
        for scaling, title, steps in words.steps_by_scaling(training):
            fastest = words.parts_of_fastest(steps)
            yield Section(
                heading=f"{_cell(training)}: {title}",
                sentences=[] if fastest is None else [f"{fastest}."],
                tables=[_table(steps)],
                figures=list(_figures(found, steps, key=f"{scaling}-{number}")),
            )
        yield Section(
            heading=f"{_cell(training)}: what is assumed",
            sentences=[f"{'; '.join(training.assumptions)}."],
        )


def _figures(found: Simulation, steps: Sequence[SimulatedStep], *, key: str) -> Iterator[Figure]:
    chart = efficiency_chart(steps)
    if chart is not None:
        yield Figure(
            chart=chart,
            key=f"efficiency-{key}",
            title="Efficiency (predicted)",
            caption="Tokens a second of each device over those of the reference.",
        )
    yield Figure(
        chart=memory_chart(steps, found.limit_bytes),
        key=f"memory-{key}",
        title="Memory of a device (predicted)",
        caption=f"What lies above the dashed line ({found.limit_bytes / 1e9:.1f} GB) does not fit.",
    )


def _table(steps: Sequence[SimulatedStep]) -> Table:
    numbers, found = words.by_strategy(steps)
    rows = [[Cell(strategy), *map(_step, places)] for strategy, places in found.items()]
    columns = [Column("Strategy", "left"), *(Column(f"{number:,}") for number in numbers)]
    return Table(columns, rows, note=_NOTE, kept_wide=True)


def _step(step: SimulatedStep | None) -> Cell:
    if step is None:
        return Cell(MISSING)
    tone = "bad" if not step.fits else "good" if step.on_front else ""
    return Cell(", ".join(words.cell_lines(step)), tone)  # type: ignore[arg-type]


def _cell(training: SimulatedTraining) -> str:
    return ", ".join(f"{key} {value}" for key, value in training.cell.items())
