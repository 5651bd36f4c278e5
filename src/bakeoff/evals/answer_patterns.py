r"""What the answers of a dataset look like, and how the harness finds such an answer in a text.

Each kind comes as in the harness's own tasks: `####` as `gsm8k`, `\\boxed{}` as the MATH tasks,
letters as tasks of choices. What is found in no answer is compared as a whole.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.evals.task_file import gsm8k_scoring

_LEAST_SHARE = 0.9
"""Of answers that must have a form before it is taken for that of the dataset."""

_NUMBER = r"-?[$0-9.,]*[0-9]"
FLEXIBLE = {
    "name": "flexible-extract",
    "filter": [
        {
            "function": "regex",
            "group_select": -1,
            "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
        },
        {"function": "take_first"},
    ],
}
_EXACT_MATCH = {
    "metric": "exact_match",
    "aggregation": "mean",
    "higher_is_better": True,
    "ignore_case": True,
    "ignore_punctuation": False,
}


@dataclass(frozen=True)
class AnswerPattern:
    """How an answer is found."""

    name: str
    """In words."""

    scoring: dict[str, Any]
    """`filter_list` and `metric_list` of a task file."""

    target_pattern: str | None = None
    """Whose first group is the answer within a row's response; None: the filters see to it."""


def find_pattern(answers: Sequence[str], *, pattern: str | None = None) -> AnswerPattern:
    """The pattern that a person gave, or the first kind that nearly all answers are of.

    Raises:
        UserError: the pattern is no regular expression with one group, or fits few answers.
    """
    if pattern is not None:
        return _given(pattern, answers)
    if _share(r"#### (\-?[0-9\.\,]+)", answers) >= _LEAST_SHARE:
        return AnswerPattern("the number after `####`, as in `gsm8k`", gsm8k_scoring())
    if _share(_BOXED, answers) >= _LEAST_SHARE:
        return _by_regex(r"what stands in `\boxed{}`", _BOXED, answers)
    if _share(r"^\s*\(?([A-J])\)?\.?\s*$", answers) >= _LEAST_SHARE:
        letter = _by_regex("a letter", r"\b([A-J])\b", answers)
        return AnswerPattern("a letter (the first that stands alone)", letter.scoring)
    if _share(rf"^\s*({_NUMBER})\s*$", answers) >= _LEAST_SHARE:
        scoring = {"filter_list": [FLEXIBLE], "metric_list": [_number_metric()]}
        return AnswerPattern("a number (the last one)", scoring)
    whole = _filter("exact", r"(?s)^\s*(.*?)\s*$")
    metric = {**_EXACT_MATCH, "ignore_punctuation": True}
    return AnswerPattern("the whole answer", {"filter_list": [whole], "metric_list": [metric]})


_BOXED = r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}"


def _given(pattern: str, answers: Sequence[str]) -> AnswerPattern:
    try:
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise UserError(f"--pattern {pattern}: not a regular expression: {error}") from error
    if num_groups != 1:
        raise UserError(
            f"--pattern {pattern}: one group in brackets was expected, got {num_groups}",
            hint="the group is the answer, such as 'answer is (.+)'",
        )
    if _share(pattern, answers) < _LEAST_SHARE:
        raise UserError(
            f"--pattern {pattern}: found in {_share(pattern, answers):.0%} of the rows' own "
            f"answers only, such as not in {_without(pattern, answers)!r}",
            hint="the pattern must find the answer in the rows as well as in what a model says",
        )
    return _by_regex(f"what {pattern} finds", pattern, answers)


def _by_regex(name: str, pattern: str, answers: Sequence[str]) -> AnswerPattern:
    """By the pattern; where the answers are numbers, by the last number too."""
    found = [match.group(1) for text in answers if (match := re.search(pattern, text))]
    are_numbers = _share(rf"^\s*({_NUMBER})\s*$", found) >= _LEAST_SHARE
    filters = [_filter("strict-match", pattern), *([FLEXIBLE] if are_numbers else [])]
    metric = _number_metric() if are_numbers else _EXACT_MATCH
    return AnswerPattern(name, {"filter_list": filters, "metric_list": [metric]}, pattern)


def _filter(name: str, pattern: str) -> dict[str, Any]:
    steps = [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}]
    return {"name": name, "filter": steps}


def _number_metric() -> dict[str, Any]:
    return {**_EXACT_MATCH, "regexes_to_ignore": [",", r"\$", r"\.$"]}


def _share(pattern: str, texts: Sequence[str]) -> float:
    return sum(re.search(pattern, text) is not None for text in texts) / max(1, len(texts))


def _without(pattern: str, texts: Sequence[str]) -> str:
    return next((text[-60:] for text in texts if re.search(pattern, text) is None), "")
