"""Every picture, as an Altair chart over plain rows. Reports and pages draw from here alone.

A chart fills the width of a phone or half that of a screen, and its words are readable on both.
Colours are the constants below: ``bakeoff.report.figures`` turns them into style variables, so that
a picture inside a page follows its light or dark theme.
"""

import json
import re
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.compare import numbers
from bakeoff.compare.constants import ALPHA
from bakeoff.compare.losses import LossRow
from bakeoff.compare.tables import FLEXIBLE_FILTER
from bakeoff.schema.comparison import Row
from bakeoff.schema.figures import HEADLINE_FILTER

if TYPE_CHECKING:
    import altair as alt

WIDTH = 480
INK, MUTED, GRID, PAPER = "#1d2733", "#66717f", "#e3e7ec", "#fefefe"
NEUTRAL, GOOD, BAD = "#8b96a5", "#0e8a5f", "#c8372d"
SERIES = (
    "#2a62d9", "#d9730d", "#7a3fd0", "#0b8aa0", "#c22f77", "#6b8e0a", "#a05a2c", "#4d5a6b",
)  # fmt: skip
FONT = "Arial, sans-serif"
"""Short, because the renderer looks for every name of it for every word."""

WIDE_FONT = "Arial, Noto Sans CJK SC, Microsoft YaHei, PingFang SC, SimHei, sans-serif"
"""For a picture with Chinese in it, which else gets the first font that happens to have it."""

_WORDS = {"labelColor": INK, "labelFontSize": 13}
STYLE = {
    "font": FONT,
    "view": {"stroke": None},
    "text": {"color": INK, "fontSize": 13},
    "axis": {
        **_WORDS,
        "titleColor": MUTED,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelFlush": False,
    },
    "legend": {
        **_WORDS,
        "orient": "top",
        "symbolSize": 90,
        "symbolOpacity": 1,
        "labelLimit": 200,
        "offset": 10,
    },
}
_LABEL_WIDTH = 28
"""Characters a line of a run's name."""
_MOST_COLOURS = len(SERIES)
_POINTS = "datum.value ? format(100 * datum.value, '+.0f') : '0'"
_LOSS_FIELDS = {"name", "split", "step", "loss", "smoothed"}
Data = list[dict[str, Any]]


def accuracy_chart(rows: Sequence[Row]) -> "alt.LayerChart | None":
    """Share right by the headline filter with its 95 % interval; None without rows."""
    shown = [row for row in rows if row.is_headline]
    data = [
        {
            **_label(row),
            "value": row.accuracy,
            "low": row.accuracy_interval.low if row.accuracy_interval else row.accuracy,
            "high": row.accuracy_interval.high if row.accuracy_interval else row.accuracy,
            "text": numbers.percent(row.accuracy),
            "tone": "base" if row.is_base else "trained",
        }
        for row in shown
    ]
    axis = {"title": "right answers", "format": ".0%"}
    return _interval_chart(data, axis, tones={"base": NEUTRAL, "trained": SERIES[0]})


def difference_chart(rows: Sequence[Row]) -> "alt.LayerChart | None":
    """Difference to the base model with its 95 % interval; None where nothing is compared."""
    data = []
    for row in rows:
        found = row.difference
        if row.is_headline and found is not None:
            interval = found.interval
            decided = row.p_adjusted is not None and row.p_adjusted < ALPHA
            better = "better" if found.difference > 0 else "worse"
            data.append(
                {
                    **_label(row),
                    "value": found.difference,
                    "low": interval.low if interval else found.difference,
                    "high": interval.high if interval else found.difference,
                    "text": numbers.points(found.difference),
                    "tone": better if decided else "may be chance",
                }
            )
    tones = {"better": GOOD, "worse": BAD, "may be chance": NEUTRAL}
    axis = {"title": "points to the base model", "labelExpr": _POINTS}
    return _interval_chart(data, axis, tones=tones)


def _label(row: Row) -> dict[str, Any]:
    return {"name": row.name, "shots": f"{row.num_fewshot}-shot", "task": row.task}


def _interval_chart(
    data: Data, axis: dict[str, str], *, tones: dict[str, str]
) -> "alt.LayerChart | None":
    """A point, its interval and its value for each line; lines of one model stand together.

    Colours tell the numbers of examples apart where there are several, the tones otherwise.
    """
    if not data:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    base = alt.Chart(inline(data)).encode(y=names_axis(data))
    if len(shots := list(dict.fromkeys(row["shots"] for row in data))) > 1:
        base = base.encode(yOffset=alt.YOffset("shots:N", sort=shots))
        colour = colour_scale("shots", dict(zip(shots, SERIES, strict=False)))
    else:
        present = {row["tone"] for row in data}
        colour = colour_scale("tone", {key: tones[key] for key in tones if key in present})
        if len(present) == 1 or "base" in present:
            # One colour needs no key, and the base model is named on its line.
            colour = colour.legend(None)
    low = min(0.0, *(row["low"] for row in data))
    high = max(0.0, *(row["high"] for row in data))
    # Room for the values that stand right of the intervals.
    scale = alt.Scale(domain=[low, high + 0.22 * (high - low or 1)], nice=False)
    x = alt.X("value:Q", scale=scale, axis=alt.Axis.from_dict({**axis, "tickCount": 5}))
    return styled(
        [
            alt.Chart(inline([{"zero": 0}]))
            .mark_rule(color=MUTED, strokeDash=[4, 4])
            .encode(x="zero:Q"),
            base.mark_rule(strokeWidth=2.5, opacity=0.55).encode(
                x="low:Q", x2="high:Q", color=colour
            ),
            base.mark_point(filled=True, size=95, opacity=1).encode(x=x, color=colour),
            base.mark_text(align="left", dx=9, fontWeight=600).encode(x="high:Q", text="text:N"),
        ],
        height_of(data),
    )


def colour_scale(field: str, colours: dict[str, str]) -> "alt.Color":
    import altair as alt  # noqa: PLC0415

    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend(title=None))


def format_chart(rows: Sequence[Row]) -> "alt.LayerChart | None":
    """Accuracy by both filters, joined by a line for each model; None where there is only one."""
    ways = {HEADLINE_FILTER: "expected form", FLEXIBLE_FILTER: "any last number"}
    data = [
        {**_label(row), "value": row.accuracy, "way": ways[row.filter]}
        for row in rows
        if row.filter in ways
    ]
    if len({row["way"] for row in data}) < 2:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    if len({row["shots"] for row in data}) > 1:
        data = [{**row, "name": f"{row['name']}, {row['shots']}", "shots": ""} for row in data]
    scale = alt.Scale(domain=[0, 1.1 * max(row["value"] for row in data) or 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("value:Q", title="right answers", scale=scale, axis=axis)
    base = alt.Chart(inline(data)).encode(y=names_axis(data, has_bands=False), x=x)
    colour = colour_scale("way", dict(zip(ways.values(), SERIES, strict=False)))
    shapes = alt.Scale(domain=list(ways.values()), range=["circle", "diamond"])
    shape = alt.Shape("way:N", scale=shapes, legend=alt.Legend(title=None))
    return styled(
        [
            base.mark_line(strokeWidth=2.5, opacity=0.4, color=NEUTRAL).encode(detail="name:N"),
            base.mark_point(filled=True, size=110, opacity=1).encode(color=colour, shape=shape),
        ],
        height_of(data),
    )


def loss_chart(rows: Sequence[LossRow]) -> "alt.LayerChart | None":
    """Training loss, raw in the back and smoothed, and validation points; None without any."""
    if not rows:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    names = list(dict.fromkeys(row.name for row in rows))
    many = len(names) > _MOST_COLOURS
    colour = colour_scale("name", {name: SERIES[i % _MOST_COLOURS] for i, name in enumerate(names)})
    # With more curves than colours the picture shows the bundle, and the tables the runs.
    colour = colour.legend(None if many else alt.Legend(title=None, columns=2))
    x = alt.X("step:Q", title="optimiser step", axis=alt.Axis(tickMinStep=1, tickCount=6))
    data = [row.model_dump(include=_LOSS_FIELDS) for row in rows]
    base = alt.Chart(inline(data)).encode(x=x, detail="name:N", color=colour)
    train = base.transform_filter("datum.split == 'train'")
    validation = base.transform_filter("datum.split == 'validation'")
    raw, smooth = (
        alt.Y(
            f"{field}:Q",
            title="loss per label token",
            scale=alt.Scale(zero=False),
            axis=alt.Axis(tickCount=6),
        )
        for field in ("loss", "smoothed")
    )
    layers = [
        validation.mark_line(strokeDash=[4, 4], strokeWidth=1.2, opacity=0.8).encode(y=raw),
        train.mark_line(strokeWidth=2.2).encode(y=smooth),
        validation.mark_point(filled=True, size=50, opacity=1).encode(y=raw),
    ]
    if not many:
        layers.insert(0, train.mark_line(strokeWidth=1, opacity=0.25).encode(y=raw))
    return styled(layers, 280)


def time_chart(rows: Sequence[Row]) -> "alt.LayerChart | None":
    """Seconds of training (optimiser steps) of each training; None where none was measured."""
    longest = max((row.train_seconds or 0 for row in rows), default=0)
    unit, size = ("h", 3600) if longest >= 7200 else ("min", 60) if longest >= 180 else ("s", 1)
    return _bar_chart(
        rows,
        lambda row: None if row.train_seconds is None else row.train_seconds / size,
        lambda row: numbers.seconds(row.train_seconds),
        f"training time, {unit}",
    )


def memory_chart(rows: Sequence[Row]) -> "alt.LayerChart | None":
    """Peak memory of each training; None where none was measured."""
    return _bar_chart(
        rows,
        lambda row: None if row.peak_bytes is None else row.peak_bytes / 1024**3,
        lambda row: numbers.num_bytes(row.peak_bytes),
        "peak memory, GiB",
    )


def _bar_chart(
    rows: Sequence[Row],
    value: Callable[[Row], float | None],
    text: Callable[[Row], str],
    title: str,
) -> "alt.LayerChart | None":
    trainings: dict[str, Row] = {}
    for row in rows:
        if row.train_run_id is not None:
            trainings.setdefault(row.train_run_id, row)
    found = [(row, value(row)) for row in trainings.values()]
    data = [
        {"name": row.name, "shots": "", "value": size, "text": text(row)}
        for row, size in found
        if size is not None
    ]
    if not data:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    domain = [0, 1.25 * max(size for _, size in found if size is not None) or 1]
    scale = alt.Scale(domain=domain, nice=False)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5))
    base = alt.Chart(inline(data)).encode(y=names_axis(data), x=x)
    return styled(
        [
            base.mark_bar(color=SERIES[0], height={"band": 0.62}, cornerRadiusEnd=3),
            base.mark_text(align="left", dx=6, fontWeight=600).encode(text="text:N"),
        ],
        height_of(data),
    )


def names_axis(data: Data, *, has_bands: bool = True) -> "alt.Y":
    """Points alone have no bands to keep apart."""
    import altair as alt  # noqa: PLC0415

    names = list(dict.fromkeys(row["name"] for row in data))
    axis = alt.Axis(
        title=None,
        grid=False,
        ticks=False,
        domain=False,
        labelPadding=8,
        labelFontSize=11 if _crowded(data) else 13,
        # Lines by name, because the name itself must stay whole: it tells the rows apart.
        labelExpr=f"{json.dumps({name: lines_of(name) for name in names})}[datum.label]",
    )
    scale = alt.Scale(paddingInner=0.25) if has_bands else alt.Undefined
    return alt.Y("name:N", sort=names, axis=axis, scale=scale)


def _crowded(data: Data) -> bool:
    return len({row["name"] for row in data}) > 12


def lines_of(name: str) -> list[str]:
    """An axis that cuts a name cuts what tells it from its neighbours; so it gets three lines."""
    lines = [""]
    for part in re.split(r"(?<=，)|(?<=, )", name):
        if lines[-1] and _wide(lines[-1] + part.rstrip()) > _LABEL_WIDTH:
            lines.append("")
        lines[-1] += part
    found = [piece for line in lines for piece in textwrap.wrap(line, _LABEL_WIDTH)] or [name]
    return found if len(found) <= 3 else [*found[:2], f"{found[2]} \N{HORIZONTAL ELLIPSIS}"]


def _wide(text: str) -> float:
    """In letters; a Chinese character is as wide as two and a half."""
    return sum(2.5 if unicodedata.east_asian_width(sign) in ("W", "F") else 1 for sign in text)


def inline(data: Data) -> "alt.InlineData":
    import altair as alt  # noqa: PLC0415

    return alt.InlineData(values=data)


def height_of(data: Data) -> int:
    names = {str(row["name"]) for row in data}
    num_shots = len({row["shots"] for row in data})
    line, least = (13, 22) if _crowded(data) else (16, 34)
    tallest = max(len(lines_of(name)) for name in names) * line + 6
    return len(names) * max(tallest, least, 17 * num_shots + 6 if num_shots > 1 else 0)


def styled(layers: "list[alt.Chart]", height: int) -> "alt.LayerChart":
    import altair as alt  # noqa: PLC0415

    return alt.LayerChart(
        layer=layers,
        width=WIDTH,
        height=height,
        padding=4,
        background=PAPER,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        config=STYLE,
    )
