"""The report of a transfer experiment."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.compare import numbers
from bakeoff.compare.transfer_words import context_words, factor, rate, verdict_words
from bakeoff.report.document import ReportPaths
from bakeoff.report.figures import Figure
from bakeoff.report.page import Page, Section, Verdict, write_page
from bakeoff.report.table import Cell, Column, Table, cells
from bakeoff.report.transfer_charts import curves_chart, overlay_chart, regret_chart
from bakeoff.schema.comparison import Interval
from bakeoff.schema.transfer import Curve, TransferResult

_LIMITS = (
    "One model, one data set, one length of training: another may have another ratio, and a short "
    "training wants a larger one than a long one. Rates were chosen by validation loss, not by "
    "answers."
)


def write_transfer_report(
    result: TransferResult,
    folder: Path,
    command_line: Sequence[str],
    *,
    recipe_text: str | None = None,
) -> ReportPaths:
    """Write ``report.md``, ``report.html`` and pictures into ``folder``."""
    return write_page(transfer_page(result, command_line, recipe_text=recipe_text), folder)


def transfer_page(
    result: TransferResult, command_line: Sequence[str], *, recipe_text: str | None = None
) -> Page:
    """All that the report says, its pictures drawn."""
    return Page(
        kind="Transfer of the learning rate",
        title=result.study,
        facts=_facts(result),
        verdicts=[_verdict(result)],
        warnings=result.notes,
        sections=list(_sections(result)),
        command=shlex.join(command_line),
        recipe_text=recipe_text,
    )


def _facts(result: TransferResult) -> list[tuple[str, str]]:
    batches = {True: "the same for all", False: "not the same", None: "not told by the trainer"}
    return [
        ("Arms", ", ".join(result.methods)),
        ("Trainings", str(result.num_trainings)),
        ("Time of runs", numbers.seconds(result.wall_seconds)),
        ("Seeds that choose", ", ".join(map(str, result.seeds))),
        ("Seeds that score", ", ".join(map(str, result.score_seeds)) or numbers.MISSING),
        ("Batches of a seed", batches[result.same_batches]),
    ]


def _verdict(result: TransferResult) -> Verdict:
    shown = bool(result.ratios) and result.ratios[0].what == "as published"
    return Verdict(result.sentence, "good" if shown else "unsure")


def _sections(result: TransferResult) -> Iterator[Section]:
    yield Section(
        heading="Where each method is best",
        sentences=[
            "A parabola in the logarithm of the rate, fitted to the means within two doublings of "
            "the best rate; intervals draw the seeds and the misfit again."
        ],
        tables=[_optima(result)],
        figures=list(_curve_figures(result)),
    )
    if result.ratios:
        yield Section(heading="The ratio", sentences=_ratio_words(result), tables=[_ratios(result)])
    if result.ranks:
        yield Section(heading="The order of the settings", tables=[_ranks(result)])
    if result.regrets:
        yield Section(
            heading="What a borrowed rate costs",
            tables=[_regrets(result)],
            figures=list(_regret_figure(result)),
        )
    for curve in result.curves:
        yield Section(heading=f"Losses of {context_words(curve)}", tables=[_losses(curve)])
    yield Section(heading="What this does not show", sentences=[_LIMITS])


def _curve_figures(result: TransferResult) -> Iterator[Figure]:
    chart = curves_chart(result.curves)
    if chart is not None:
        yield Figure(
            chart=chart,
            key="curves",
            title="Loss over the learning rate",
            caption="Rings: seeds, what each adds at all rates taken out; dots: their mean; thick: "
            "the fitted parabola. The triangle on the axis is the optimum, its bar the 95 % "
            "interval. Losses beyond the axis lie on its upper edge.",
        )
    chart = overlay_chart(result.curves)
    if chart is not None:
        yield Figure(
            chart=chart,
            key="overlay",
            title="One shape?",
            caption="Each curve in units of its own optimum: where they lie on each other, what "
            "was learnt of one holds for the other but for the factor.",
        )


def _regret_figure(result: TransferResult) -> Iterator[Figure]:
    chart = regret_chart(result)
    if chart is not None:
        yield Figure(
            chart=chart,
            key="regret",
            title="Regret",
            caption="With seeds that no rate was chosen by; 95 % intervals over them. The dashed "
            f"line is the margin of {result.margin:g} below which a loss counts as none.",
        )


def _optima(result: TransferResult) -> Table:
    rows = [
        cells(
            context_words(curve),
            rate(curve.optimum) if curve.status == "ok" else curve.status,
            _rates(curve.interval),
            rate(curve.three_point_optimum),
            rate(curve.best_rate),
            numbers.MISSING if curve.lowest_loss is None else f"{curve.lowest_loss:.4f}",
            numbers.MISSING if curve.r_squared is None else f"{curve.r_squared:.3f}",
            numbers.MISSING if curve.flat_factor is None else f"{factor(curve.flat_factor)} times",
        )
        for curve in result.curves
    ]
    columns = [
        Column("Curve", "left"),
        Column("Best rate (fit)"),
        Column("95 % interval"),
        Column("By three points"),
        Column("Best tried"),
        Column("Lowest loss"),
        Column("R²"),
        Column("Flat within"),
    ]
    note = (
        "Flat within: up to this factor from the optimum the loss rises by less than the spread "
        "of one seed."
    )
    return Table(columns, rows, note=note)


def _ratio_words(result: TransferResult) -> list[str]:
    return [
        f"{context_words(ratio)}: {factor(ratio.ratio)}, {verdict_words(ratio)}."
        for ratio in result.ratios
    ]


def _ratios(result: TransferResult) -> Table:
    rows = [
        cells(
            context_words(ratio),
            factor(ratio.ratio),
            _factors(ratio.interval),
            f"{ratio.low:g} to {ratio.high:g}",
            numbers.p_value(ratio.equivalence_p),
            numbers.MISSING if ratio.three_point_ratio is None else factor(ratio.three_point_ratio),
            numbers.MISSING if ratio.grid_ratio is None else factor(ratio.grid_ratio),
        )
        for ratio in result.ratios
    ]
    columns = [
        Column("Over full fine-tuning", "left"),
        Column("Ratio"),
        Column("95 % interval"),
        Column("As published if within"),
        Column("p (TOST)"),
        Column("By three points"),
        Column("Of the best tried"),
    ]
    return Table(columns, rows)


def _ranks(result: TransferResult) -> Table:
    rows = [
        cells(
            found.arm,
            str(found.num_settings),
            f"{found.kendall:.2f}",
            _plain(found.kendall_interval),
            numbers.p_value(found.p_value),
            f"{found.spearman:.2f}",
            _plain(found.spearman_interval),
            numbers.MISSING if found.kendall_ceiling is None else f"{found.kendall_ceiling:.2f}",
            numbers.MISSING
            if not found.kendall_ceiling
            else f"{found.kendall / found.kendall_ceiling:.2f}",
            str(found.num_diverged),
        )
        for found in result.ranks
    ]
    columns = [
        Column("Arm", "left"),
        Column("Settings"),
        Column("Kendall"),
        Column("95 % interval"),
        Column("p"),
        Column("Spearman"),
        Column("95 % interval"),
        Column("Ceiling"),
        Column("Kendall / ceiling"),
        Column("Diverged"),
    ]
    note = (
        "Rates are paired by their place in the grids. The ceiling is Kendall's tau between halves "
        "of the seeds within one arm: noise allows no more between two. What diverged ranks last."
    )
    return Table(columns, rows, note=note)


def _regrets(result: TransferResult) -> Table:
    words = {"own": "its own", "none": "below the margin", "some": "above the margin"}
    rows = [
        [
            Cell(found.choice),
            Cell(rate(found.rate)),
            Cell(numbers.MISSING if found.mean is None else f"{found.mean:+.4f}"),
            Cell(_plain(found.interval, digits=4)),
            Cell(
                words.get(found.what, found.what),
                {"none": "good", "some": "bad", "diverged": "bad"}.get(found.what, ""),  # type: ignore[arg-type]
            ),
        ]
        for found in result.regrets
    ]
    columns = [
        Column("Rate of full fine-tuning", "left"),
        Column("Rate"),
        Column("Loss above its own"),
        Column("95 % interval"),
        Column("", "left"),
    ]
    note = (
        "LoRA's rate / fitted: the rate that LoRA's last seed alone chose, divided by the ratio "
        "that the other seeds gave, so that it does not know what it is held against."
    )
    if result.random_regret is not None:
        note += f" A rate drawn from the grid at random costs {result.random_regret:.4f}."
    return Table(columns, rows, note=note)


def _losses(curve: Curve) -> Table:
    num_seeds = max(len(point.losses) for point in curve.points)
    rows = [
        cells(
            rate(point.rate),
            numbers.MISSING if point.mean is None else f"{point.mean:.4f}",
            *("diverged" if loss is None else f"{loss:.4f}" for loss in point.losses),
        )
        for point in curve.points
    ]
    columns = [
        Column("Rate", "left"),
        Column("Mean"),
        *(Column(f"Seed {index + 1}") for index in range(num_seeds)),
    ]
    return Table(columns, rows)


def _rates(interval: Interval | None) -> str:
    return numbers.MISSING if interval is None else f"{rate(interval.low)} to {rate(interval.high)}"


def _factors(interval: Interval | None) -> str:
    if interval is None:
        return numbers.MISSING
    return f"{factor(interval.low)} to {factor(interval.high)}"


def _plain(interval: Interval | None, *, digits: int = 2) -> str:
    if interval is None:
        return numbers.MISSING
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
