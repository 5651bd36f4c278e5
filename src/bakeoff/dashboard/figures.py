"""The report's charts as a page shows them: live, coloured by the theme, in its language."""

import json
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response

from bakeoff.dashboard.words import Words
from bakeoff.report import charts
from bakeoff.report.figures import STYLE_VARIABLES

if TYPE_CHECKING:
    import altair as alt

    Drawn = alt.LayerChart | alt.VConcatChart | dict[str, Any]


def spec_of(chart: "Drawn", words: Words) -> dict[str, Any]:
    """The chart's specification for the browser."""
    # Our own charts, which tests hold to the schema: checking thousands of points costs seconds.
    spec = chart if isinstance(chart, dict) else chart.to_dict(validate=False)
    spec["background"] = "transparent"
    config = spec["config"]
    config["font"] = charts.WIDE_FONT
    # Values under the pointer, wherever a chart does not say which.
    config["mark"] = {"tooltip": True}
    config["text"] = {**config.get("text", {}), "tooltip": None}
    spec = _in_words(spec, words)
    text = json.dumps(spec, ensure_ascii=False)
    for colour, variable in STYLE_VARIABLES.items():
        text = text.replace(f'"{colour}"', f'"var({variable})"')
    found: dict[str, Any] = json.loads(text)
    return found


def answer(chart: "Drawn | None", words: Words) -> Response:
    """As JSON; 204 where there is nothing to draw."""
    if chart is None:
        return Response(status_code=204)
    return JSONResponse(spec_of(chart, words))


def _in_words(spec: Any, words: Words) -> Any:
    """Every text that the catalogue knows, wherever it stands: titles, keys of colours, data."""
    if words.language == "en":
        return spec
    if isinstance(spec, dict):
        return {
            key: value if key in _GRAMMAR or _is_reference(key, value) else _in_words(value, words)
            for key, value in spec.items()
        }
    if isinstance(spec, list):
        return [_in_words(value, words) for value in spec]
    return _said(spec, words) if isinstance(spec, str) else spec


def _is_reference(key: str, value: Any) -> bool:
    """To data that the specification holds elsewhere, by its name."""
    return key == "data" and isinstance(value, dict) and "name" in value


_GRAMMAR = frozenset(
    {
        "field",
        "type",
        "mark",
        "orient",
        "anchor",
        "font",
        "fontWeight",
        "filter",
        "split",
        "groupby",
        "as",
        "op",
        "aggregate",
        "align",
        "baseline",
        "interpolate",
        "test",
        "$schema",
    }
)
"""Keys whose values are the language of the specification, not of a person."""


def _said(text: str, words: Words) -> str:
    if text.startswith("{") and text.endswith("}[datum.label]"):
        return _labels(text, words)
    return words.duration(words.core(text))


def _labels(expression: str, words: Words) -> str:
    """Names of an axis, broken into lines: by the name itself, which is translated elsewhere."""
    lines = json.loads(expression.removesuffix("[datum.label]"))
    made = {words.name(name): charts.lines_of(words.name(name)) for name in lines}
    return f"{json.dumps(made, ensure_ascii=False)}[datum.label]"
