"""Items of the ``gsm_symbolic`` generator: which are sound, and which are easy."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

_INSTRUCTION = " Give the result as your final answer. Do not include units."
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_BROKEN = re.compile(
    r"\d\.0\b"  # 776.0: a whole number that passed through floating point
    r"|\d\.\d{5,}|\d[eE][-+]?\d"  # 0.30000000000000004 and 1e-05: so did these
    r"|\b(?:nan|inf)\b"
    r"|[=(*/+$€£¥]\s*-\s?\d|-\s+-\s?\d"  # below zero where a count or a price is meant
)
_EQUATION = re.compile(
    r"(?P<left>\d[\d.]*(?:\s*[-+*/x]\s*\d[\d.]*)+)\s*=\s*[$€£¥]?(?P<right>\d+(?:\.\d+)?)(?![\d%/])"
)
_ROUNDING = Fraction(1, 100)

_LARGEST_EASY_NUMBER = 100
_MOST_EASY_LINES = 2


class Item(NamedTuple):
    """A problem in the columns of GSM8K."""

    question: str
    answer: str
    """Working, a line a step, then `#### N`."""


def item_of(raw: dict[str, Any]) -> Item | None:
    """The item without the generator's own instruction; None where its arithmetic is not sound.

    Sound means: the working ends in the stated answer, holds no traces of floating point or
    numbers below zero, and every plain equation in it is true (some templates divide and throw
    the rest away: `48 / 18 = 2`).
    """
    question = raw["question"].removesuffix(_INSTRUCTION).strip()
    working, mark, final = raw["metadata"]["answer_cot"].rpartition("\n#### ")
    if not mark or final != raw["answer"] or not _NUMBER.fullmatch(final):
        return None
    answer = f"{working}\n#### {final}"
    if _BROKEN.search(f"{question}\n{answer}") or not equations_hold(working):
        return None
    return Item(question, answer)


def is_easy(item: Item) -> bool:
    """At most two lines of working, a whole-number answer, no number above 100."""
    lines = item.answer.split("\n")
    text = _without_separators(f"{item.question}\n{item.answer}")
    numbers = [float(number) for number in _NUMBER.findall(text)]
    return (
        len(lines) - 1 <= _MOST_EASY_LINES
        and lines[-1].removeprefix("#### ").isdigit()
        and max(numbers) <= _LARGEST_EASY_NUMBER
    )


KEEPERS: dict[str, Callable[[Item], bool]] = {"easy": is_easy, "all": lambda _: True}
"""Subsets by name."""


def equations_hold(working: str) -> bool:
    """Whether every equation that is written in plain numbers is true, to two decimals.

    One that continues something to its left (`5 bags * 2 + 3 = 13`) is not judged.
    """
    text = _without_separators(working)
    for match in _EQUATION.finditer(text):
        before = text[: match.start()].rstrip()
        if before.endswith(tuple("*/+-(x^.%$€£¥")):
            continue
        left = _value(match["left"])
        if left is None or abs(left - Fraction(match["right"])) > _ROUNDING:
            return False
    return True


def _without_separators(text: str) -> str:
    """Numbers without commas: `380,000` becomes `380000`."""
    return re.sub(r"(?<=\d),(?=\d{3})", "", text)


def _value(expression: str) -> Fraction | None:
    """Value of numbers joined by `+ - * x /`; None for a division by zero or a stray dot."""
    total = Fraction(0)
    for sign, term in re.findall(r"([-+]?)([^-+]+)", expression):
        value = Fraction(1)
        for operator, number in re.findall(r"([*x/]?)\s*(\d[\d.]*)", term):
            if not _NUMBER.fullmatch(number) or (operator == "/" and Fraction(number) == 0):
                return None
            value = value / Fraction(number) if operator == "/" else value * Fraction(number)
        total += -value if sign == "-" else value
    return total
