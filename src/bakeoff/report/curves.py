"""Curves over steps, tokens or time, and what accuracy costs: for pages, in the report's style."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bakeoff.compare import numbers
from bakeoff.compare.curves import Axis, CurveRow, Field
from bakeoff.report import charts
from bakeoff.schema.comparison import Row
from bakeoff.schema.data_inspection import Bin

if TYPE_CHECKING:
    import altair as alt

AXES: dict[Axis, str] = {
    "step": "optimiser step",
    "tokens": "tokens trained on",
    "seconds": "seconds of training",
}
FIELDS: dict[Field, str] = {
    "loss": "loss per label token",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
}
_HEIGHT = 260
_ROWS = "rows"


def curve_spec(
    rows: Sequence[CurveRow], *, field: Field, axis: Axis, log: bool = False
) -> dict[str, Any] | None:
    """A line for each training, its raw points behind it; None without any.

    A specification rather than a chart: Altair would look at each of thousands of points again and
    again, which takes seconds.
    """
    if not rows:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a chart needs it

    names = list(dict.fromkeys(row.name for row in rows))
    colours = {name: charts.SERIES[i % len(charts.SERIES)] for i, name in enumerate(names)}
    colour = charts.colour_scale("name", colours)
    colour = colour.legend(alt.Legend(title=None, columns=2) if 1 < len(names) < 9 else None)
    base = alt.Chart(alt.NamedData(name=_ROWS)).encode(
        x=alt.X("x:Q", title=AXES[axis], axis=alt.Axis(tickCount=6), scale=alt.Scale(nice=False)),
        detail="name:N",
        color=colour,
    )
    kind = {"type": "log"} if log else {"zero": field == "learning_rate"}
    scale = alt.Scale.from_dict(kind)
    plain = "~g" if field == "loss" else ".2~g"
    raw, smooth = (
        alt.Y(f"{column}:Q", title=FIELDS[field], scale=scale, axis=alt.Axis(format=plain))
        for column in ("y", "smoothed")
    )
    train = base.transform_filter("datum.split == 'train'")
    held_out = base.transform_filter("datum.split == 'validation'")
    hover = [
        alt.Tooltip("name:N", title="training"),
        alt.Tooltip("x:Q", title=AXES[axis], format=",.6~g"),
        alt.Tooltip("y:Q", title=FIELDS[field], format=".4~g"),
    ]
    if field == "learning_rate":
        layers = [train.mark_line(strokeWidth=2).encode(y=raw)]
    else:
        layers = [
            train.mark_line(strokeWidth=1, opacity=0.28).encode(y=raw),
            held_out.mark_line(strokeDash=[4, 4], strokeWidth=1.2, opacity=0.8).encode(y=raw),
            train.mark_line(strokeWidth=2.2).encode(y=smooth),
            held_out.mark_point(filled=True, size=50, opacity=1).encode(y=raw, tooltip=hover),
        ]
    # What a pointer finds: a line itself has no single value.
    layers.append(train.mark_circle(size=70, opacity=0).encode(y=raw, tooltip=hover))
    spec = charts.styled(layers, _HEIGHT).to_dict(validate=False)
    return {**spec, "datasets": {_ROWS: [_short(row) for row in rows]}}


def _short(row: CurveRow) -> dict[str, Any]:
    """Six digits: more than a screen can show."""
    smoothed = None if row.smoothed is None else float(f"{row.smoothed:.6g}")
    return {**row.model_dump(), "y": float(f"{row.y:.6g}"), "smoothed": smoothed}


def pareto_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each trained model by the headline filter with what it cost, and which none beats.

    A model is on the front when no other is at least as good in accuracy, training time and peak
    memory and better in one of them; what was not measured counts as not worse.
    """
    shown = [row for row in rows if row.is_headline and row.train_run_id]
    return [
        {
            "name": row.name,
            "shots": f"{row.num_fewshot}-shot",
            "accuracy": row.accuracy,
            "low": row.accuracy_interval.low if row.accuracy_interval else row.accuracy,
            "high": row.accuracy_interval.high if row.accuracy_interval else row.accuracy,
            "minutes": None if row.train_seconds is None else row.train_seconds / 60,
            "gibibytes": None if row.peak_bytes is None else row.peak_bytes / 1024**3,
            "front": not any(_beats(other, row) for other in shown if other is not row),
        }
        for row in shown
    ]


def _beats(a: Row, b: Row) -> bool:
    if (a.task, a.num_fewshot) != (b.task, b.num_fewshot):
        return False
    pairs = [
        (a.accuracy, b.accuracy),
        *(
            (-ours, -theirs)
            for ours, theirs in (
                (a.train_seconds, b.train_seconds),
                (a.peak_bytes, b.peak_bytes),
            )
            if ours is not None and theirs is not None
        ),
    ]
    return all(ours >= theirs for ours, theirs in pairs) and any(x > y for x, y in pairs)


def pareto_chart(rows: Sequence[Row], cost: str) -> "alt.LayerChart | None":
    """Accuracy over `minutes` or `gibibytes`; filled where no other model is better in all."""
    titles = {"minutes": "training time, min", "gibibytes": "peak memory, GiB"}
    data = [row for row in pareto_rows(rows) if row[cost] is not None]
    if not data:
        return None
    import altair as alt  # noqa: PLC0415

    for row in data:
        row["kind"] = "on the front" if row["front"] else "beaten in all by another"
    base = alt.Chart(charts.inline(data)).encode(
        x=alt.X(
            f"{cost}:Q",
            title=titles[cost],
            scale=alt.Scale(zero=False, padding=60),
            axis=alt.Axis(tickCount=5),
        ),
        color=charts.colour_scale(
            "kind",
            {"on the front": charts.SERIES[0], "beaten in all by another": charts.NEUTRAL},
        ),
    )
    y = alt.Y("accuracy:Q", title="right answers", axis=alt.Axis(format=".0%"))
    hover = [
        alt.Tooltip("name:N", title="model"),
        alt.Tooltip("shots:N", title="examples"),
        alt.Tooltip("accuracy:Q", title="right answers", format=".1%"),
        alt.Tooltip("minutes:Q", title=titles["minutes"], format=".3~g"),
        alt.Tooltip("gibibytes:Q", title=titles["gibibytes"], format=".3~g"),
    ]
    layers = [
        base.mark_rule(opacity=0.35, strokeWidth=2).encode(
            y=alt.Y("low:Q", title="right answers"), y2="high:Q"
        ),
        base.mark_point(filled=True, size=110, opacity=1).encode(y=y, tooltip=hover),
    ]
    # Names of many lie over each other; those of the front are what one looks for.
    named = base if len(data) <= 4 else base.transform_filter("datum.front")
    if len(data) <= 12:
        layers.append(named.mark_text(dy=-14, fontSize=12).encode(y=y, text="name:N"))
    return charts.styled(layers, _HEIGHT)


def length_chart(bins: Sequence[Bin], unit: str, limit: int) -> "alt.LayerChart | None":
    """How many rows have which length, with the limit where it lies among them."""
    if not bins:
        return None
    import altair as alt  # noqa: PLC0415

    data = [
        {**found.model_dump(), "text": numbers.count(found.count) if found.count else ""}
        for found in bins
    ]
    base = alt.Chart(charts.inline(data))
    x = alt.X("start:Q", title=unit, axis=alt.Axis(tickCount=8), scale=alt.Scale(nice=False))
    hover = [
        alt.Tooltip("start:Q", title="from"),
        alt.Tooltip("end:Q", title="up to"),
        alt.Tooltip("count:Q", title="rows", format=","),
    ]
    y = alt.Y("count:Q", title="rows", axis=alt.Axis(tickCount=5))
    layers = [
        base.mark_rect(color=charts.SERIES[0], stroke=charts.PAPER).encode(
            x=x, x2="end:Q", y=y, y2=alt.datum(0), tooltip=hover
        )
    ]
    if limit < bins[-1].end:
        rule = alt.Chart(charts.inline([{"limit": limit}]))
        layers.append(rule.mark_rule(color=charts.BAD, strokeDash=[5, 4]).encode(x="limit:Q"))
    return charts.styled(layers, 200)


def parts_chart(runs: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> "alt.LayerChart | None":
    """Predicted memory of each run by part, stacked: (name, [(part, bytes)])."""
    data = [
        {"name": name, "shots": "", "part": part, "order": order, "gigabytes": size / 1e9}
        for name, parts in runs
        for order, (part, size) in enumerate(parts)
        if size >= 10**6
    ]
    if not data:
        return None
    import altair as alt  # noqa: PLC0415

    parts = list(dict.fromkeys(part for _, found in runs for part, size in found if size >= 10**6))
    colours = (*charts.SERIES, charts.NEUTRAL, charts.GOOD)
    scale = {part: colours[i % len(colours)] for i, part in enumerate(parts)}
    base = alt.Chart(charts.inline(data)).encode(
        y=charts.names_axis(data),
        x=alt.X("sum(gigabytes):Q", title="memory, GB", stack="zero"),
        order="order:Q",
        color=charts.colour_scale("part", scale).legend(alt.Legend(title=None, columns=3)),
        tooltip=[
            alt.Tooltip("part:N", title="part"),
            alt.Tooltip("gigabytes:Q", title="memory, GB", format=".2f"),
        ],
    )
    bars = base.mark_bar(height={"band": 0.6})
    return charts.styled([bars], charts.height_of(data) + 30)
