"""The pictures of a transfer experiment."""

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from bakeoff.compare.transfer_words import context_words
from bakeoff.report import charts
from bakeoff.schema.transfer import Curve, TransferResult

if TYPE_CHECKING:
    import altair as alt

_SHOWN_ABOVE = 1.6
"""The axis ends so many times as far above the lowest loss as the highest of the curves' middles
lies: what diverges must not press the valleys flat."""

Rows = list[dict[str, Any]]


def curves_chart(curves: Sequence[Curve]) -> "alt.LayerChart | None":
    """Loss over the learning rate: each seed, the mean, the fitted parabola, the optimum."""
    points, means, fits, optima = _rows(curves)
    if not means:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    names = list(dict.fromkeys(row["name"] for row in means))
    colours = {name: charts.SERIES[i % len(charts.SERIES)] for i, name in enumerate(names)}
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=list(colours.values())),
        legend=alt.Legend(title=None, columns=2),
    )
    domain = _loss_domain(
        [[p.mean for p in curve.points if p.mean is not None] for curve in curves]
    )
    rates = [row["rate"] for row in points]
    x = alt.X(
        "rate:Q",
        title="learning rate",
        scale=alt.Scale(type="log", domain=[min(rates) / 1.3, max(rates) * 1.3], nice=False),
        axis=alt.Axis(format="~e", tickCount=6),
    )
    y = alt.Y(
        "loss:Q",
        title="validation loss per label token",
        scale=alt.Scale(domain=domain, clamp=True, nice=False),
        axis=alt.Axis(tickCount=6),
    )
    layers = [
        _chart(points).mark_point(size=28, opacity=0.55, strokeWidth=1.2),
        _chart(means).mark_line(strokeDash=[3, 3], strokeWidth=1.2, opacity=0.6),
        _chart(means).mark_point(filled=True, size=62, opacity=1),
    ]
    fits = [row for row in fits if row["loss"] <= domain[1]]
    if fits:
        layers.insert(0, _chart(fits).mark_line(strokeWidth=2.6, opacity=0.85))
    shown = [layer.encode(x=x, y=y, color=colour) for layer in layers]
    if optima:
        floor = alt.Y("floor:Q", scale=alt.Scale(domain=domain, clamp=True, nice=False))
        data = [{**row, "floor": domain[0]} for row in optima]
        shown += [
            _chart(data)
            .mark_rule(strokeWidth=6, opacity=0.5)
            .encode(x=alt.X("low:Q"), x2="high:Q", y=floor, color=colour),
            _chart(data)
            .mark_point(filled=True, shape="triangle-up", size=120, opacity=1)
            .encode(x=alt.X("rate:Q"), y=floor, color=colour),
        ]
    return charts.styled(shown, 320)


def overlay_chart(curves: Sequence[Curve]) -> "alt.LayerChart | None":
    """The same curves with each method's rates in units of its own optimum: are they one shape?"""
    shown = [curve for curve in curves if curve.optimum is not None]
    if len(shown) < 2:
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    data: Rows = [
        {
            "name": context_words(curve),
            "x": point.rate / (curve.optimum or 1.0),
            "loss": point.mean - (curve.lowest_loss or 0.0),
        }
        for curve in shown
        for point in curve.points
        if point.mean is not None
    ]
    names = list(dict.fromkeys(row["name"] for row in data))
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=list(charts.SERIES[: len(names)])),
        legend=alt.Legend(title=None, columns=2),
    )
    domain = _loss_domain([[r["loss"] for r in data if r["name"] == name] for name in names])
    x = alt.X(
        "x:Q",
        title="learning rate, times the optimum",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(tickCount=6, format="~g"),
    )
    y = alt.Y(
        "loss:Q",
        title="loss above the lowest",
        scale=alt.Scale(domain=domain, clamp=True, nice=False),
        axis=alt.Axis(tickCount=6),
    )
    base = _chart(data).encode(x=x, y=y, color=colour)
    return charts.styled(
        [base.mark_line(strokeWidth=2.2, opacity=0.8), base.mark_point(filled=True, size=60)], 240
    )


def regret_chart(result: TransferResult) -> "alt.LayerChart | None":
    """What each choice costs full fine-tuning, with its interval; the margin as a line."""
    found = [regret for regret in result.regrets if regret.what != "own"]
    if not any(regret.mean is not None for regret in found):
        return None
    import altair as alt  # noqa: PLC0415 - heavy, and only a report needs it

    colours = {"none": charts.GOOD, "some": charts.BAD, "undecided": charts.NEUTRAL}
    words = {"none": "below the margin", "some": "above it", "undecided": "not decided"}
    rows: Rows = [
        {
            "name": f"{regret.choice} ({regret.rate:.1e})".replace("e-0", "e-"),
            "value": regret.mean,
            "low": regret.interval.low if regret.interval else regret.mean,
            "high": regret.interval.high if regret.interval else regret.mean,
            "what": words[regret.what],
            "text": f"{regret.mean:+.3f}",
        }
        for regret in found
        if regret.mean is not None and regret.what in words
    ]
    names = [row["name"] for row in rows]
    present = [key for key in words if words[key] in {row["what"] for row in rows}]
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(
            domain=[words[key] for key in present], range=[colours[key] for key in present]
        ),
        legend=alt.Legend(title=None),
    )
    y = alt.Y(
        "name:N",
        sort=names,
        axis=alt.Axis(title=None, grid=False, ticks=False, domain=False, labelLimit=240),
    )
    low = min(0.0, *(row["low"] for row in rows))
    high = max(result.margin, *(row["high"] for row in rows))
    reach = high - low
    # Room for a point at nought beside its name, and for the values right of the intervals.
    scale = alt.Scale(domain=[low - 0.04 * reach, high + 0.25 * reach], nice=False)
    title = "loss above that of full fine-tuning's own best rate"
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5))
    base = _chart(rows).encode(y=y, color=colour)
    margin = (
        _chart([{"margin": result.margin}])
        .mark_rule(color=charts.MUTED, strokeDash=[4, 4])
        .encode(x="margin:Q")
    )
    return charts.styled(
        [
            margin,
            base.mark_rule(strokeWidth=2.5, opacity=0.55).encode(x=alt.X("low:Q"), x2="high:Q"),
            base.mark_point(filled=True, size=95, opacity=1).encode(x=x),
            base.mark_text(align="left", dx=9, fontWeight=600).encode(x="high:Q", text="text:N"),
        ],
        38 * len(rows),
    )


def _rows(curves: Sequence[Curve]) -> tuple[Rows, Rows, Rows, Rows]:
    points: Rows = []
    means: Rows = []
    fits: Rows = []
    optima: Rows = []
    for curve in curves:
        name = context_words(curve)
        levels = _levels(curve)
        for point in curve.points:
            points += [
                {"name": name, "rate": point.rate, "loss": loss - level}
                for loss, level in zip(point.losses, levels, strict=True)
                if loss is not None
            ]
            if point.mean is not None:
                means.append({"name": name, "rate": point.rate, "loss": point.mean})
        if curve.optimum is None or curve.curvature is None or curve.lowest_loss is None:
            continue
        low, high = math.log2(min(curve.fitted_rates)), math.log2(max(curve.fitted_rates))
        for place in range(41):
            at = low + (high - low) * place / 40
            away = at - math.log2(curve.optimum)
            loss = curve.lowest_loss + curve.curvature * away**2
            fits.append({"name": name, "rate": 2.0**at, "loss": loss})
        interval = curve.interval
        optima.append(
            {
                "name": name,
                "rate": curve.optimum,
                "low": interval.low if interval else curve.optimum,
                "high": interval.high if interval else curve.optimum,
            }
        )
    return points, means, fits, optima


def _levels(curve: Curve) -> list[float]:
    """What each seed adds at all rates, which the pairing takes out."""
    whole = [point for point in curve.points if point.mean is not None]
    num_seeds = max(len(point.losses) for point in curve.points)
    if not whole:
        return [0.0] * num_seeds
    return [
        fmean((point.losses[seed] or 0.0) - (point.mean or 0.0) for point in whole)
        for seed in range(num_seeds)
    ]


def _loss_domain(losses: Sequence[Sequence[float]]) -> list[float]:
    """Of the means, curve by curve."""
    known = [row for row in losses if row]
    lowest, highest = min(map(min, known)), max(map(max, known))
    reach = _SHOWN_ABOVE * (max(median(row) for row in known) - lowest) or 0.1 * abs(lowest) or 1.0
    reach = min(reach, 1.05 * (highest - lowest) or reach)
    return [lowest - 0.1 * reach, lowest + reach]


def _chart(rows: Rows) -> "alt.Chart":
    import altair as alt  # noqa: PLC0415

    return alt.Chart(alt.InlineData(values=rows))
