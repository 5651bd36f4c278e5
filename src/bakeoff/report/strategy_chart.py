"""Memory of a process against time of a step, one panel a backend and method, the front marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.compare.strategies import SpreadComparison
from bakeoff.report import charts

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 210
_AXES_WIDTH = 64
_GIB = 1024**3


def strategy_chart(found: Sequence[SpreadComparison]) -> "alt.VConcatChart | None":
    """None where nothing was measured of two strategies; panels have axes of their own."""
    panels = [(one.title, _rows(one)) for one in found]
    panels = [(title, rows) for title, rows in panels if len(rows) > 1]
    if not panels:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    return alt.VConcatChart(
        vconcat=[_panel(title, rows) for title, rows in panels],
        background=charts.PAPER,
        padding=4,
        config=charts.STYLE,
    )


def _rows(found: SpreadComparison) -> list[dict[str, Any]]:
    """By time; names stand left and right of points in turns, so that neighbours can be read."""
    measured = sorted(found.costs, key=lambda cost: cost.step_seconds or 0.0)
    return [
        {
            "is_left": number % 2 == 0,
            "name": cost.strategy,
            "seconds": cost.step_seconds,
            "gib": cost.rank_bytes / _GIB,
            "front": "no other is better in both" if cost.on_front else "another is",
        }
        for number, cost in enumerate(measured)
        if cost.rank_bytes is not None and cost.step_seconds is not None
    ]


def _panel(title: str, rows: list[dict[str, Any]]) -> "alt.LayerChart":
    import altair as alt  # noqa: PLC0415

    longest = max(row["seconds"] for row in rows)
    # Room on the right for the names, which stand beside their points.
    x = alt.X(
        "seconds:Q",
        title="seconds a step",
        scale=alt.Scale(domain=[0, 1.3 * longest], nice=False),
    )
    y = alt.Y("gib:Q", title="memory of a process, GiB", scale=alt.Scale(zero=True))
    colours = {"no other is better in both": charts.GOOD, "another is": charts.NEUTRAL}
    colour = alt.Color(
        "front:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(title=None),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    left, right = (base.transform_filter(f"datum.is_left == {word}") for word in ("true", "false"))
    on_front = base.transform_filter("datum.front == 'no other is better in both'")
    return alt.LayerChart(
        layer=[
            on_front.mark_line(
                color=charts.GOOD, strokeDash=[4, 4], strokeWidth=1.4, interpolate="step-after"
            ),
            base.mark_point(filled=True, size=110, opacity=1).encode(color=colour),
            left.mark_text(align="right", dx=-10).encode(text="name:N"),
            right.mark_text(align="left", dx=10).encode(text="name:N"),
        ],
        width=charts.WIDTH - _AXES_WIDTH,
        height=_HEIGHT,
        title=alt.TitleParams(
            text=title, anchor="start", fontSize=13, color=charts.INK, fontWeight=600
        ),
    )
