"""Charts become files and page parts: PNG and SVG by vl-convert, which needs no network."""

import html
import json
import re
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture with what it shows in words; drawn when it is asked for."""

    chart: "alt.LayerChart | alt.VConcatChart"
    key: str
    title: str
    caption: str

    @cached_property
    def svg(self) -> str:
        """To stand inside a page: coloured by its style variables, with a title to be read out."""
        return embeddable(self._drawn, key=self.key, title=f"{self.title}. {self.caption}")

    @cached_property
    def png(self) -> bytes:
        import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

        png: bytes = vl_convert.svg_to_png(self._drawn, scale=_PNG_SCALE)
        return png

    @cached_property
    def _drawn(self) -> str:
        import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

        spec = self.chart.to_dict()
        if not json.dumps(spec, ensure_ascii=False).isascii():
            spec["config"]["font"] = charts.WIDE_FONT
        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg


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
