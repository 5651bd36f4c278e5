"""Charts become files and page parts: PNG and SVG by vl-convert, which needs no network."""

import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakeoff.report import charts

if TYPE_CHECKING:
    import altair as alt

STYLE_VARIABLES = {
    charts.INK: "--ink",
    charts.MUTED: "--muted",
    charts.GRID: "--grid",
    charts.PAPER: "--paper",
    charts.NEUTRAL: "--neutral",
    charts.GOOD: "--good",
    charts.BAD: "--bad",
    **{colour: f"--series-{i}" for i, colour in enumerate(charts.SERIES)},
}
_PNG_SCALE = 2.0


@dataclass(frozen=True)
class Figure:
    """One picture with what it shows in words."""

    key: str
    title: str
    caption: str
    svg: str
    """To stand inside a page: coloured by its style variables, with a title for screen readers."""

    png: bytes


def draw(
    chart: "alt.LayerChart | alt.VConcatChart", *, key: str, title: str, caption: str
) -> Figure:
    """Make the PNG and the SVG."""
    import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

    spec = chart.to_dict()
    if not json.dumps(spec, ensure_ascii=False).isascii():
        spec["config"]["font"] = charts.WIDE_FONT
    drawn = vl_convert.vegalite_to_svg(spec)
    png = vl_convert.svg_to_png(drawn, scale=_PNG_SCALE)
    svg = embeddable(drawn, key=key, title=f"{title}. {caption}")
    return Figure(key=key, title=title, caption=caption, svg=svg, png=png)


def embeddable(svg: str, *, key: str, title: str) -> str:
    """An SVG that can stand among others in a page.

    Ids are made its own (two pictures may both have a `clip1`), colours become style variables with
    the printed colour to fall back on, and the picture scales with its column.
    """
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{key}-", svg)
    for colour, variable in STYLE_VARIABLES.items():
        svg = svg.replace(f'"{colour}"', f'"var({variable}, {colour})"')
    head, _, body = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    name = html.escape(title)
    return f'{head} role="img" aria-label="{name}"><title>{name}</title>{body}'
