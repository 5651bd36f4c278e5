"""The results for a terminal: they fit its width, and mean the same without colour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bakeoff.compare import numbers
from bakeoff.compare.equivalence import equivalence_sentence
from bakeoff.compare.frameworks import SideBySide
from bakeoff.compare.names import named_in_text
from bakeoff.report.framework_words import headings, summary
from bakeoff.report.results import accuracy_text, interval_text, several, tone_of
from bakeoff.report.table import Tone
from bakeoff.schema.comparison import ComparedRun, Comparison, Row
from bakeoff.schema.reference import AgainstReference

_STYLES: dict[Tone, str] = {"good": "green", "bad": "red"}
_COUNTS_NOTE = "b : c counts the questions that only it, and only the baseline, answered right"
_GAP = 2
"""Between two cells: their padding, and the line that the box leaves blank."""


@dataclass(frozen=True)
class _Column:
    header: str
    cells: Sequence[Text]
    importance: int
    """The lowest goes first when the terminal is narrow; 0 stays whatever happens."""

    justify_left: bool = False
    note: str = ""
    """What the header leaves to be said."""

    @property
    def width(self) -> int:
        texts = [self.header, *(cell.plain for cell in self.cells)]
        lines = [line for text in texts for line in text.split("\n")]
        return max(Text(line).cell_len for line in lines) + _GAP


class FittingTable:
    """A table that fits its terminal.

    Of several layouts, widest first, the first that fits is taken; the last one then loses its
    least important columns until it fits.
    """

    def __init__(self, layouts: Sequence[Sequence[_Column]], caption: str = "") -> None:
        self._layouts = layouts
        self._caption = caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.fitted(options.max_width)

    def fitted(self, width: int) -> Table:
        """The table for a terminal of that many characters a line."""
        kept = next((each for each in self._layouts if _width(each) <= width), self._layouts[-1])
        while _width(kept) > width and any(column.importance for column in kept):
            least = min((c for c in kept if c.importance), key=lambda column: column.importance)
            kept = [column for column in kept if column is not least]
        notes = [text for text in (self._caption, *(column.note for column in kept)) if text]
        table = Table(
            box=box.SIMPLE_HEAD,
            caption=escape("; ".join(notes)) or None,
            caption_justify="left",
            padding=(0, _GAP - 1, 0, 0),
            pad_edge=False,
        )
        for column in kept:
            table.add_column(
                column.header,
                justify="left" if column.justify_left else "right",
                no_wrap=not column.justify_left,
                overflow="fold",
            )
        for line in zip(*(column.cells for column in kept), strict=True):
            table.add_row(*line)
        return table


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns)


def results_table(rows: Sequence[Row]) -> FittingTable:
    """A line for each model and number of examples, by the headline filter; print it with rich.

    Where a line has less than about 110 characters, cells that belong together stand on two.
    """
    shown = [row for row in rows if row.is_headline]
    intervals = [interval_text(r.difference.interval if r.difference else None) for r in shown]
    times = [numbers.seconds(row.train_seconds) for row in shown]
    rates = [numbers.rate(row.tokens_per_second) for row in shown]
    first = [
        _Column("model", [Text(row.name) for row in shown], 0, justify_left=True),
        *_if_several("task", [row.task for row in shown], 60),
        *_if_several("shots", [str(row.num_fewshot) for row in shown], 80),
        _column("accuracy", [accuracy_text(row) for row in shown], 0),
    ]
    p_values = _column("p (Holm)", [numbers.p_value(row.p_adjusted) for row in shown], 75)
    memory = _column("peak\nmemory", [numbers.num_bytes(row.peak_bytes) for row in shown], 64)
    sizes = [numbers.parameters(row.num_trained_parameters) for row in shown]
    wide = [
        *first,
        _Column("to base\n(points)", [_difference_cell(row) for row in shown], 0),
        _column("95 % interval", intervals, 70),
        p_values,
        _column("training", times, 65),
        _column("tokens/s", rates, 50),
        memory,
    ]
    differences = _stacked([_difference_cell(row) for row in shown], intervals)
    narrow = [
        *first,
        _Column("to base\n(95 %)", differences, 90),
        p_values,
        _Column("training\ntokens/s", _stacked([Text(time) for time in times], rates), 65),
        memory,
    ]
    layouts = [[*wide, _column("trained\nparameters", sizes, 30)], wide, narrow]
    return FittingTable([_measured(layout) for layout in layouts], caption=_caption(shown))


def _if_several(header: str, texts: Sequence[str], importance: int) -> list[_Column]:
    return [_column(header, texts, importance)] if several(texts) else []


def _stacked(upper: Sequence[Text], lower: Sequence[str]) -> list[Text]:
    """Two lines a cell, or one dash where both are missing."""
    return [
        above if {above.plain, below} == {numbers.MISSING} else Text.assemble(above, "\n", below)
        for above, below in zip(upper, lower, strict=True)
    ]


def _measured(columns: Sequence[_Column]) -> list[_Column]:
    """Without those in which nothing was measured."""
    return [c for c in columns if any(cell.plain != numbers.MISSING for cell in c.cells)]


def _column(header: str, texts: Sequence[str], importance: int) -> _Column:
    return _Column(header, [Text(text) for text in texts], importance)


def _difference_cell(row: Row) -> Text:
    if row.difference is None:
        return Text(numbers.MISSING)
    tone = tone_of(row.difference.difference, row.p_adjusted)
    return Text(numbers.points(row.difference.difference), style=_STYLES.get(tone, ""))


def _caption(rows: Sequence[Row]) -> str:
    filters = ", ".join(dict.fromkeys(f"{row.metric} by {row.filter}" for row in rows))
    items = ", ".join(dict.fromkeys(numbers.count(row.num_items) for row in rows))
    return f"accuracy: {filters}, {items} questions, ± its standard error"


def frameworks_lines(sides: Sequence[SideBySide]) -> Group:
    """Of each cell that several backends trained: same work or not, what it cost, the scores."""
    parts: list[RenderableType] = []
    for heading, side in zip(headings(sides), sides, strict=True):
        name = "Frameworks side by side" + (f": {heading}" if len(sides) > 1 else "")
        parts += [Text(), Text(name, style="bold")]
        parts += [Text(f"- {line}") for line in summary(side)]
    return Group(*parts, Text())


def comparison_panel(comparison: Comparison) -> RenderableType:
    """Verdicts by the headline filter, the counts of every test, and what to keep in mind."""
    parts: list[RenderableType] = []
    for text in [
        *(_verdict(run) for run in comparison.compared if run.is_headline),
        *_equivalences(comparison),
        *(Text(found.verdict) for found in comparison.across_seeds),
        *(Text(share.text) for share in comparison.format_shares),
    ]:
        parts += [text, Text()]
    parts += [_comparison_table(comparison.compared)]
    parts += [_agreement_table(comparison)] if _agreements(comparison) else []
    notes = dict.fromkeys(note for run in comparison.compared for note in run.notes)
    if notes or comparison.warnings:
        parts += [Text("Keep in mind", style="bold yellow")]
        parts += [Text(f"- {note}") for note in (*comparison.warnings, *notes)]
    return Panel(
        Group(*parts),
        title=escape(
            f"against {comparison.baseline_name}: {comparison.task}, {comparison.num_fewshot}-shot"
        ),
        title_align="left",
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _equivalences(comparison: Comparison) -> Iterator[Text]:
    baseline = named_in_text(comparison.baseline_name)
    for run in comparison.compared:
        if run.is_headline and run.equivalence is not None:
            yield Text(equivalence_sentence(run.name, baseline, run.equivalence))


def _agreements(comparison: Comparison) -> list[ComparedRun]:
    return [run for run in comparison.compared if run.difference.num_both_right is not None]


def _agreement_table(comparison: Comparison) -> Table:
    """On how many items the two agree: what a net gain hides."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("who is right", "scored by"):
        table.add_column(name, overflow="fold")
    for name in ("both", "only it", f"only {comparison.baseline_name}", "neither"):
        table.add_column(name, justify="right")
    for run in _agreements(comparison):
        found = run.difference
        counts = (
            found.num_both_right,
            found.num_only_model_right,
            found.num_only_baseline_right,
            found.num_neither_right,
        )
        table.add_row(run.name, run.filter, *(numbers.count(value) for value in counts))
    return table


def _verdict(run: ComparedRun) -> Text:
    tone = tone_of(run.difference.difference, run.p_adjusted)
    return Text(run.verdict, style=_STYLES.get(tone, ""))


def _comparison_table(runs: Sequence[ComparedRun]) -> FittingTable:
    found = [run.difference for run in runs]
    columns = [
        _Column("model", [Text(run.name) for run in runs], 0, justify_left=True),
        _column("scored by", [run.filter for run in runs], 90),
        _column("points", [numbers.points(d.difference) for d in found], 0),
        _column("95 % interval", [interval_text(d.interval) for d in found], 80),
        _Column("b : c", [Text(_counts(run)) for run in runs], 60, note=_COUNTS_NOTE),
        _column("p", [numbers.p_value(d.p_value) for d in found], 40),
        _column("p (Holm)", [numbers.p_value(run.p_adjusted) for run in runs], 70),
        _column(
            "could have\nshown",
            [numbers.points(d.smallest_detectable, signed=False) for d in found],
            50,
        ),
    ]
    return FittingTable([columns])


def _counts(run: ComparedRun) -> str:
    only_it, only_base = run.difference.num_only_model_right, run.difference.num_only_baseline_right
    return f"{numbers.count(only_it)} : {numbers.count(only_base)}"


def references_panel(held: Sequence[AgainstReference]) -> RenderableType:
    """A sentence for each published score, and what else than chance may be behind it."""
    parts: list[RenderableType] = []
    for one in held:
        parts.append(Text(one.verdict))
        parts += [Text(f"- {text}", style="yellow") for text in one.differing]
        parts += [Text(f"  published: {one.reference.source}", style="dim"), Text()]
    title = "against published scores, as independent samples"
    return Panel(Group(*parts[:-1]), title=title, title_align="left", padding=(1, 2))
