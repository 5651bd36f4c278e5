"""Memory of a process against time of a step, one panel a backend and method, the front marked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bakeoff.compare.strategies import SpreadComparison
from bakeoff.report import charts

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 210
_WIDTH = charts.WIDTH - 64
"""Of a panel without its axis."""

_POINT = 6
_LETTER = 7
"""Half the width of a point and the width of a letter, in pixels as everything here."""

_PLACES = {
    "right": (10, 0, 0.0),
    "left": (-10, 0, 1.0),
    "above": (0, -13, 0.5),
    "below": (0, 13, 0.5),
}
"""Of a name: how far from its point, and the share of it that stands left of there."""

_ALIGNED: dict[float, Literal["left", "right", "center"]] = {
    0.0: "left",
    1.0: "right",
    0.5: "center",
}
_Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge."""

_GIB = 1024**3
_BEST, _BEATEN = "no other is better in both", "another is"


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
    """By time."""
    rows = [
        {
            "name": cost.strategy,
            "seconds": cost.step_seconds,
            "gib": cost.rank_bytes / _GIB,
            "front": _BEST if cost.on_front else _BEATEN,
        }
        for cost in sorted(found.costs, key=lambda cost: cost.step_seconds or 0.0)
        if cost.rank_bytes is not None and cost.step_seconds is not None
    ]
    for row, side in zip(rows, _sides(rows), strict=True):
        row["side"] = side
    return rows


def _sides(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where each name stands: on the first side where it covers no point and no other name."""
    if not rows:
        return []
    across = _WIDTH / _last_second(rows)
    up = _HEIGHT / max(row["gib"] for row in rows)
    places = [(row["seconds"] * across, -row["gib"] * up) for row in rows]
    taken = [(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in places]
    sides = []
    for row, (x, y) in zip(rows, places, strict=True):
        width = len(row["name"]) * _LETTER
        boxes = {
            side: (x + dx - width * share, y + dy - 7, x + dx + width * (1 - share), y + dy + 7)
            for side, (dx, dy, share) in _PLACES.items()
        }
        free = (side for side in _order(row["front"]) if _is_free(boxes[side], taken))
        sides.append(next(free, "right"))
        taken.append(boxes[sides[-1]])
    return sides


def _order(front: str) -> Sequence[str]:
    """In which sides are tried: the line along the front leaves its points to the right."""
    return tuple(_PLACES) if front == _BEATEN else ("left", "below", "above", "right")


def _is_free(box: _Box, taken: Sequence[_Box]) -> bool:
    return box[0] >= 0 and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    )


def _last_second(rows: Sequence[Mapping[str, Any]]) -> float:
    """Where the axis ends, with room on the right for the names."""
    return float(1.3 * max(row["seconds"] for row in rows))


def _panel(title: str, rows: list[dict[str, Any]]) -> "alt.LayerChart":
    import altair as alt  # noqa: PLC0415

    x = alt.X(
        "seconds:Q",
        title="seconds a step",
        scale=alt.Scale(domain=[0, _last_second(rows)], nice=False),
    )
    y = alt.Y("gib:Q", title="memory of a process, GiB", scale=alt.Scale(zero=True))
    colours = {_BEST: charts.GOOD, _BEATEN: charts.NEUTRAL}
    colour = alt.Color(
        "front:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(title=None),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    on_front = base.transform_filter(f"datum.front == '{_BEST}'")
    return alt.LayerChart(
        layer=[
            on_front.mark_line(
                color=charts.GOOD, strokeDash=[4, 4], strokeWidth=1.4, interpolate="step-after"
            ),
            base.mark_point(filled=True, size=110, opacity=1).encode(color=colour),
            *(
                base.transform_filter(f"datum.side == '{side}'")
                .mark_text(align=_ALIGNED[share], dx=dx, dy=dy)
                .encode(text="name:N")
                for side, (dx, dy, share) in _PLACES.items()
            ),
        ],
        width=_WIDTH,
        height=_HEIGHT,
        title=alt.TitleParams(
            text=title, anchor="start", fontSize=13, color=charts.INK, fontWeight=600
        ),
    )
