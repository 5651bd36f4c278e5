"""Memory over time with the phases behind it, one panel a training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bakeoff.report import charts
from bakeoff.report.timeline import Timeline, chart_rows

if TYPE_CHECKING:
    import altair as alt

PHASES = {
    "starting": charts.NEUTRAL,
    "reading data": charts.SERIES[3],
    "loading model": charts.SERIES[2],
    "steps": charts.SERIES[0],
    "validation": charts.SERIES[1],
    "saving": charts.SERIES[6],
}
"""What the chart tells apart, and its colours."""

_SHOWN_AS = {
    "load_data": "reading data",
    "load_model": "loading model",
    "train": "steps",
    "validate": "validation",
    "save": "saving",
}
_PANEL_HEIGHT = 96
_AXES_WIDTH = 64


def timeline_chart(found: Sequence[Timeline]) -> "alt.VConcatChart | None":
    """None without any timeline; panels share both axes, so that heights and widths compare."""
    if not found:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    longest = max(span.ends for line in found for span in line.phases)
    unit, size = ("min", 60) if longest >= 180 else ("s", 1)
    highest = max(size for line in found for _, size in line.points) / 1024**3
    panels = [
        _panel(line, unit=unit, size=size, top=1.08 * highest, is_last=line is found[-1])
        for line in found
    ]
    chart: alt.VConcatChart = (
        alt.vconcat(*panels, spacing=8, padding=4, background=charts.PAPER)
        .resolve_scale(x="shared", y="shared", color="shared")
        .configure(**charts.STYLE)
    )
    return chart


def _panel(
    line: Timeline, *, unit: str, size: int, top: float, is_last: bool
) -> "alt.LayerChart | alt.FacetChart":
    import altair as alt  # noqa: PLC0415

    rows = chart_rows([line])
    memory = [{**row, "time": row["seconds"] / size} for row in rows["memory"]]
    phases = [
        {
            "phase": _SHOWN_AS.get(row["phase"], "starting"),
            "begins": row["begins"] / size,
            "ends": row["ends"] / size,
        }
        for row in rows["phases"]
    ]
    colour = alt.Color(
        "phase:N",
        scale=alt.Scale(domain=list(PHASES), range=list(PHASES.values())),
        legend=alt.Legend(title=None, columns=6, symbolType="square", symbolOpacity=0.5),
    )
    x_title = f"time since the start, {unit}" if is_last else None
    x = alt.Axis(title=x_title, tickCount=6, labels=is_last, grid=False)
    bands = (
        alt.Chart(alt.InlineData(values=phases))
        .mark_rect(opacity=0.28)
        .encode(x=alt.X("begins:Q", axis=x, scale=alt.Scale(nice=False)), x2="ends:Q", color=colour)
    )
    y = alt.Y(
        "gibibytes:Q",
        title=f"{line.counter}, GiB",
        axis=alt.Axis(tickCount=4),
        scale=alt.Scale(domain=[0, top or 1], nice=False),
    )
    curve = (
        alt.Chart(alt.InlineData(values=memory))
        .mark_line(color=charts.INK, strokeWidth=1.6, interpolate="linear")
        .encode(x=alt.X("time:Q", axis=x), y=y)
    )
    return alt.layer(bands, curve).properties(
        width=charts.WIDTH - _AXES_WIDTH,
        height=_PANEL_HEIGHT,
        title=alt.TitleParams(
            line.name, anchor="start", fontSize=13, fontWeight="normal", color=charts.INK
        ),
    )
