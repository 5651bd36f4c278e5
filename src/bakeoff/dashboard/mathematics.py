r"""Mathematics in prompts and answers, as MathML: the browser draws it without scripts or fonts.

What stands between `\( \)`, `\[ \]`, `$$ $$` or `$ $` is given to latex2mathml. A dollar is a
price far more often than a formula, so that between dollars only what is clearly mathematics is
set; code is left alone, and so is every formula that the library does not know in full.

A model wrote the formulas, so that nothing of them is trusted:

- The library's own text is never used, as it undoes the escaping. The tree is written here, with
  the elements and attributes that are listed below and no others: no links, styles or colours.
- Macros are refused: each may double the last. Long formulas are refused. Deep ones run into
  Python's own limit, and stay text.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from xml.etree.ElementTree import Element

from markupsafe import Markup, escape

_FORMULA = re.compile(
    r"""
    (?P<code> ```.*?(?:```|\Z) | `[^`\n]+` )
    | (?<!\\) \\\[ (?P<block> .{1,2000}? ) (?<!\\) \\\]
    | (?<!\\) \\\( (?P<inline> .{1,2000}? ) (?<!\\) \\\)
    | (?<![\\$]) \$\$ (?!\$) (?P<dollars> (?: \\. | [^\\$] ){1,2000} ) \$\$ (?!\$)
    | (?<![\\$A-Za-z0-9]) \$ (?![\s$]) (?P<dollar> (?: \\. | [^\\$\n] ){1,300} )
      (?<!\s) \$ (?![$A-Za-z0-9])
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMAND = re.compile(r"\\[a-zA-Z%,;!{}]")
_NO_PROSE = re.compile(r"\\(?:text\w*|mbox|operatorname\*?|math\w+)\s*\{[^{}]*\}|\\[a-zA-Z]+")
_PROSE = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z]{2,}")
_EXPRESSION = re.compile(
    r"""
    (?! .* (?: [a-z][A-Za-z] | [A-Z]{5} | << ) )  # words, GSM8K's calculator
    -? [\w(\[{|] [\w\s()\[\]{}|+\-*/=<>^.,:!']* (?<![+\-*/=<>^,.:\s])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_REFUSED = re.compile(
    r"\\(?:def|newcommand|newenvironment|DeclareMathOperator|href|style|class|unicode)(?![a-zA-Z])"
)
_ALIGNED = re.compile(r"\\(begin|end)\s*\{(?:aligned|align\*?|gathered)\}")
"""Known to the library as `split` alone, or with numbers that nobody wrote."""

_ELEMENTS = frozenset(
    {"math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "msqrt", "mtable", "mtr", "mtd"}
    | {"mstyle", "mpadded", "mphantom", "menclose"}
)
_NUM_CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2} | {
    "msubsup": 3,
    "munderover": 3,
}
"""With one too few the browser draws a mistake."""

_ATTRIBUTES = frozenset(
    {"display", "displaystyle", "scriptlevel", "mathvariant", "columnalign", "notation"}
    | {"stretchy", "fence", "form", "accent", "movablelimits", "largeop", "minsize", "maxsize"}
    | {"width", "height", "depth", "lspace", "rspace", "voffset", "linethickness"}
)
_VALUE = re.compile(r"[A-Za-z0-9.+\- ]{1,30}")


class _Piece(NamedTuple):
    start: int
    end: int
    tex: str
    is_block: bool
    is_clear: bool
    """Mathematics whatever stands around it; a bare number between dollars is not."""


def mathematics(text: str) -> Markup | None:
    """The text, escaped, its formulas set; None if it has none."""
    found = list(_pieces(text)) if "$" in text or "\\" in text else []
    if not any(piece.is_clear for piece in found):
        return None
    made, before = [], 0
    for piece in found:
        formula = _formula(piece.tex.strip(), is_block=piece.is_block)
        if formula is not None:
            made += [escape(text[before : piece.start]), formula]
            before = piece.end + (piece.is_block and text[piece.end :].startswith("\n"))
    return Markup("").join([*made, escape(text[before:])]) if made else None


def _pieces(text: str) -> Iterator[_Piece]:
    at = 0
    while found := _FORMULA.search(text, at):
        at = found.end()
        kind = found.lastgroup
        if kind == "code":
            continue
        tex = found[kind or 0]
        is_clear = kind in ("block", "inline") or _is_clear(tex)
        if is_clear or _is_expression(tex):
            yield _Piece(*found.span(), tex, kind in ("block", "dollars"), is_clear)
        else:
            # What closed this one may open the next.
            at = found.start() + (2 if kind == "dollars" else 1)


def _is_clear(tex: str) -> bool:
    if "<<" in tex or _PROSE.search(_NO_PROSE.sub(" ", tex)):
        return False
    has_variable = re.search(r"[A-Za-z^]", tex) is not None
    return _COMMAND.search(tex) is not None or (has_variable and _is_expression(tex))


def _is_expression(tex: str) -> bool:
    """Of numbers, operators and variables of one letter (or a few capitals: `ABC`)."""
    return _EXPRESSION.fullmatch(tex.strip()) is not None


@lru_cache(maxsize=5_000)
def _formula(tex: str, *, is_block: bool) -> Markup | None:
    """As MathML; None where not all of it is understood."""
    if not tex or _REFUSED.search(tex):
        return None
    from latex2mathml.converter import convert_to_element  # noqa: PLC0415 - reads its symbols

    tex = _ALIGNED.sub(r"\\\1{split}", tex)
    try:
        return _written(convert_to_element(tex, display="block" if is_block else "inline"))
    except Exception:  # noqa: BLE001 - unbalanced input ends in whatever error comes first
        return None


def _written(element: Element) -> Markup:
    """As HTML.

    Raises:
        ValueError: an element or a command that is not known.
    """
    tag = element.tag
    if tag not in _ELEMENTS and _NUM_CHILDREN.get(tag) != len(element):
        raise ValueError(tag)
    text = html.unescape(element.text or "")  # the library writes signs as `&#x2211;`
    if text.startswith("\\") or text == "&" or "linebreak" in element.attrib:
        raise ValueError(text)
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _VALUE.fullmatch(value)
    )
    inside = Markup("").join(_written(child) for child in element)
    # Every name and value is one of those above.
    return Markup(f"<{tag}{attributes}>{escape(text)}{inside}</{tag}>")  # noqa: S704
