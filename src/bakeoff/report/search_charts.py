"""The pictures of a search: what was tried, what mattered, where it was good."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from bakeoff.compare.search_words import show_value
from bakeoff.report import charts
from bakeoff.schema.recipe_search import Dimension, Objective
from bakeoff.schema.search import SearchResult, Trial

if TYPE_CHECKING:
    import altair as alt

_STATES = {
    "finished": charts.SERIES[0],
    "ended early": charts.NEUTRAL,
    "diverged or failed": charts.BAD,
    "trained again": charts.GOOD,
}
_SHAPES = {
    "finished": "circle",
    "ended early": "cross",
    "diverged or failed": "triangle-up",
    "trained again": "diamond",
}
_ABOVE_THE_MEDIAN = 2.0
"""The axis ends where losses are so many times as far from the best as the median is: one that
blew up must not press all others into a line."""


def history_chart(result: SearchResult, title: str) -> "alt.LayerChart | None":
    """Each trial in order, and the best so far."""
    rows = _rows(result, [trial.number for trial in result.trials])
    if not any(row["state"] == "finished" for row in rows):
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    places = {trial.number: place for place, trial in enumerate(result.trials, start=1)}
    rows = [{**row, "x": places[row["trial"]]} for row in rows]
    domain = _domain(rows, higher="exact_match" in result.objective[:1])
    x = alt.X("x:Q", title="trial", axis=alt.Axis(tickMinStep=1, tickCount=8))
    layers = _points(rows, x, _y(title, domain), domain)
    best = _best_so_far(rows, higher="exact_match" in result.objective[:1])
    line = (
        alt.Chart(alt.InlineData(values=best))
        .mark_line(interpolate="step-after", color=charts.SERIES[0], strokeWidth=1.8, opacity=0.6)
        .encode(x="x:Q", y=_y(title, domain))
    )
    return charts.styled([line, *layers], 260)


def slice_chart(result: SearchResult, key: str, title: str) -> "alt.LayerChart | None":
    """The objective over one setting, all others as they came; candidates with their seeds."""
    dimension = result.space[key]
    tried = [trial for trial in result.trials if key in trial.values]
    rows = [
        {**row, "x": _on_axis(dimension, trial.values[key])}
        for trial, row in zip(tried, _rows(result, [t.number for t in tried]), strict=True)
    ]
    if sum(row["state"] == "finished" for row in rows) < 2:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    again = [
        {
            "x": _on_axis(dimension, each.values[key]),
            "value": each.mean,
            "low": min(score for score in each.scores if score is not None),
            "high": max(score for score in each.scores if score is not None),
            "state": "trained again",
            "trial": each.trial,
        }
        for each in result.candidates
        if each.mean is not None and key in each.values
    ]
    domain = _domain([*rows, *again], higher="exact_match" in result.objective[:1])
    name = key.rpartition(".")[2].replace("_", " ")
    if dimension.low is not None:
        values = [row["x"] for row in rows]
        span = [min(values), max(values)]
        scale = alt.Scale(
            type="log" if dimension.log else "linear",
            domain=[span[0] / 1.15, span[1] * 1.15] if dimension.log else span,
            nice=False,
        )
        ticks = alt.Axis(tickCount=5, format="~g" if dimension.whole else "~e")
        ticks = ticks if dimension.log else alt.Axis(tickCount=5, format="~g")
        x: alt.X = alt.X("x:Q", title=name, scale=scale, axis=ticks)
    else:
        order = [show_value(value) for value in dimension.choices or ()]
        x = alt.X("x:N", title=name, sort=order, axis=alt.Axis(labelAngle=0))
    layers = _points([*rows, *again], x, _y(title, domain), domain)
    if again:
        ranges = (
            alt.Chart(alt.InlineData(values=again))
            .mark_rule(strokeWidth=2.5, color=charts.GOOD, opacity=0.6)
            .encode(x=x, y=alt.Y("low:Q", scale=alt.Scale(domain=domain, clamp=True)), y2="high:Q")
        )
        layers.insert(0, ranges)
    return charts.styled(layers, 240)


def importance_chart(result: SearchResult) -> "alt.LayerChart | None":
    """Bars, the most important setting first."""
    if not result.importance:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    rows: list[dict[str, Any]] = [
        {"name": each.key, "value": each.share, "text": f"{100 * each.share:.0f} %"}
        for each in sorted(result.importance, key=lambda each: -each.share)
    ]
    y = alt.Y(
        "name:N",
        sort=[row["name"] for row in rows],
        axis=alt.Axis(title=None, grid=False, ticks=False, domain=False, labelLimit=220),
    )
    x = alt.X(
        "value:Q",
        title="share of what tells the better half apart",
        scale=alt.Scale(domain=[0, 1.18 * max(row["value"] for row in rows) or 1], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, x=x)
    return charts.styled(
        [
            base.mark_bar(color=charts.SERIES[0], height={"band": 0.62}, cornerRadiusEnd=3),
            base.mark_text(align="left", dx=6, fontWeight=600).encode(text="text:N"),
        ],
        34 * len(rows),
    )


def front_chart(result: SearchResult, titles: Sequence[str]) -> "alt.LayerChart | None":
    """Two objectives against each other; the front in colour."""
    first, second = result.objective[:2]
    rows = [
        {
            "x": _shown(second, trial.objectives[second]),
            "y": _shown(first, trial.objectives[first]),
            "state": "on the front" if trial.number in result.front else "beaten",
        }
        for trial in result.trials
        if trial.status == "finished" and None not in trial.objectives.values()
    ]
    if len(rows) < 2:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    tones = {"on the front": charts.GOOD, "beaten": charts.NEUTRAL}
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=list(tones), range=list(tones.values())),
        legend=alt.Legend(title=None),
    )
    scale = alt.Scale(zero=False)
    x = alt.X("x:Q", title=titles[1], scale=scale, axis=alt.Axis(tickCount=6))
    y = alt.Y("y:Q", title=titles[0], scale=scale, axis=alt.Axis(tickCount=6))
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    line = base.transform_filter("datum.state == 'on the front'").mark_line(
        color=charts.GOOD, opacity=0.5, interpolate="step-after"
    )
    return charts.styled(
        [line, base.mark_point(filled=True, size=90, opacity=0.9).encode(color=colour)], 280
    )


def _shown(objective: Objective, value: float | None) -> float | None:
    return value / 1024**3 if objective == "peak_memory" and value is not None else value


def _rows(result: SearchResult, numbers: Sequence[int]) -> list[dict[str, Any]]:
    shown = {trial.number: trial for trial in result.trials}
    objective = result.objective[0]
    return [
        {
            "trial": number,
            "value": _shown(objective, shown[number].objectives.get(objective))
            if shown[number].status == "finished"
            else None,
            "state": _state(shown[number]),
        }
        for number in numbers
    ]


def _state(trial: Trial) -> str:
    if trial.status == "pruned":
        return "ended early"
    return "finished" if trial.status == "finished" else "diverged or failed"


def _on_axis(dimension: Dimension, value: Any) -> Any:
    """A number of a range; choices as text, in their order."""
    return show_value(value) if dimension.choices is not None else value


def _domain(rows: Sequence[dict[str, Any]], *, higher: bool) -> list[float]:
    values = [row["value"] for row in rows if row["value"] is not None]
    if higher:
        return [0.0, 1.08 * max([*values, 0.05])]
    best, middle = min(values), median(values)
    reach = _ABOVE_THE_MEDIAN * (middle - best) or 0.1 * abs(best) or 1.0
    top = min(max(values), best + reach)
    margin = 0.08 * (top - best or reach)
    return [best - margin, top + margin]


def _y(title: str, domain: Sequence[float]) -> "alt.Y":
    import altair as alt  # noqa: PLC0415

    scale = alt.Scale(domain=list(domain), clamp=True, nice=False)
    return alt.Y("shown:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6))


def _points(
    rows: Sequence[dict[str, Any]], x: "alt.X", y: "alt.Y", domain: Sequence[float]
) -> "list[alt.Chart]":
    """What has no value, or one beyond the axis, lies on its upper edge."""
    import altair as alt  # noqa: PLC0415

    data = [
        {**row, "shown": domain[1] if row["value"] is None else min(row["value"], domain[1])}
        for row in rows
    ]
    present = [state for state in _STATES if any(row["state"] == state for row in data)]
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=present, range=[_STATES[state] for state in present]),
        legend=alt.Legend(title=None),
    )
    shape = alt.Shape(
        "state:N",
        scale=alt.Scale(domain=present, range=[_SHAPES[state] for state in present]),
        legend=alt.Legend(title=None),
    )
    base = alt.Chart(alt.InlineData(values=data)).encode(x=x, y=y, color=colour, shape=shape)
    return [base.mark_point(filled=True, size=85, opacity=0.9)]


def _best_so_far(rows: Sequence[dict[str, Any]], *, higher: bool) -> list[dict[str, Any]]:
    best: float | None = None
    line = []
    for row in rows:
        value = row["value"]
        if value is not None and (best is None or (value > best if higher else value < best)):
            best = value
        if best is not None:
            line.append({"x": row["x"], "shown": best})
    return line
