"""The pictures of a simulation. Every number in them is a prediction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.report import charts
from bakeoff.schema.simulation import SimulatedStep

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 300


def efficiency_chart(steps: Sequence[SimulatedStep]) -> "alt.LayerChart | None":
    """Efficiency over the number of devices, a line a strategy; None where nothing fits."""
    rows = [
        {**_place(step), "value": step.efficiency}
        for step in steps
        if step.fits and step.efficiency is not None
    ]
    if not rows:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    y = alt.Y(
        "value:Q",
        title="tokens a second of a device, to the reference",
        scale=alt.Scale(domain=[0, max(1.0, *(row["value"] for row in rows))]),
        axis=alt.Axis(format=".0%", tickCount=6),
    )
    return charts.styled(_lines(rows, steps, y), _HEIGHT)


def memory_chart(steps: Sequence[SimulatedStep], limit_bytes: int) -> "alt.LayerChart":
    """Memory of a device over their number; what lies above the dashed line does not fit."""
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    rows = [{**_place(step), "value": step.needed_bytes / 1e9} for step in steps]
    values = [limit_bytes / 1e9, *(row["value"] for row in rows)]
    y = alt.Y(
        "value:Q",
        title="memory of a device, GB",
        scale=alt.Scale(type="log", domain=[0.8 * min(values), 1.25 * max(values)], nice=False),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    limit = (
        alt.Chart(charts.inline([{"limit": limit_bytes / 1e9}]))
        .mark_rule(color=charts.BAD, strokeDash=[5, 4], strokeWidth=1.6)
        .encode(y=alt.Y("limit:Q"))
    )
    return charts.styled([*_lines(rows, steps, y), limit], _HEIGHT)


def _place(step: SimulatedStep) -> dict[str, Any]:
    return {"strategy": step.strategy, "devices": step.num_devices}


def _lines(
    rows: list[dict[str, Any]], steps: Sequence[SimulatedStep], y: "alt.Y"
) -> "list[alt.Chart]":
    """Colours are those of all strategies, in both pictures alike."""
    import altair as alt  # noqa: PLC0415

    names = list(dict.fromkeys(step.strategy for step in steps))
    numbers = sorted({step.num_devices for step in steps})
    x = alt.X(
        "devices:Q",
        title="devices",
        # Room beside a single number, of which a logarithmic scale makes nothing.
        scale=alt.Scale(
            type="log", base=2, domain=[numbers[0] / 1.2, numbers[-1] * 1.2], nice=False
        ),
        axis=alt.Axis(values=numbers, format=",d"),
    )
    colours = {name: charts.SERIES[i % len(charts.SERIES)] for i, name in enumerate(names)}
    colour = charts.colour_scale("strategy", colours).legend(title=None, columns=4)
    base = alt.Chart(charts.inline(rows)).encode(x=x, y=y, color=colour)
    return [
        base.mark_line(strokeWidth=2.2, opacity=0.75),
        base.mark_point(filled=True, size=48, opacity=0.9),
    ]
