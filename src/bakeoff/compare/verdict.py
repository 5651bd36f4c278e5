"""A difference in one or two sentences that a layman understands and a statistician accepts."""

from bakeoff.compare import numbers
from bakeoff.compare.constants import ALPHA
from bakeoff.compare.phrases import PHRASES, Language
from bakeoff.schema.comparison import PairedDifference, SeedGroup

_FORM_TOLERANCE = 0.0005
"""Gains that print alike count as alike."""


def verdict(
    difference: PairedDifference,
    *,
    names: tuple[str, str],
    p_adjusted: float | None = None,
    num_tests: int = 1,
    num_seeds: int = 1,
    language: Language = "en",
) -> str:
    """What the test says about one model against another, in whole sentences.

    Args:
        difference: of the two, on the same items.
        names: of the model and of what it is held against: ("LoRA", "the base model").
        p_adjusted: the p-value after correction; the plain one when absent.
        num_tests: how many tests were corrected together.
        num_seeds: how many trainings with different seeds stand behind the comparison.
        language: of the sentence.
    """
    words = PHRASES[language]
    p = difference.p_value if p_adjusted is None else p_adjusted
    decided = p is not None and p < ALPHA
    kind = "undecided" if not decided else "better" if difference.difference > 0 else "worse"
    text = words[kind].format(
        answers=_answers(difference, names, words),
        shown=_shown(difference, p, num_tests, words),
    )
    seeds = words["one_seed" if num_seeds < 2 else "some_seeds"].format(num_seeds=num_seeds)
    sentences = [f"{text}{words['semicolon']}{seeds}{words['stop']}"]
    if not decided:
        sentences.append(_power(difference, words))
    return words["space"].join(sentences)


def _answers(difference: PairedDifference, names: tuple[str, str], words: dict[str, str]) -> str:
    model, baseline = names
    return words["answers"].format(
        model=capitalised(model),
        model_share=numbers.percent(difference.model_mean),
        num_items=numbers.count(difference.num_items),
        baseline=baseline,
        baseline_share=numbers.percent(difference.baseline_mean),
    )


def _shown(
    difference: PairedDifference, p: float | None, num_tests: int, words: dict[str, str]
) -> str:
    interval = difference.interval
    p_text = numbers.p_phrase(p)
    if num_tests > 1:
        p_text += words["adjusted"].format(num_tests=num_tests)
    return words["shown" if interval else "no_interval"].format(
        difference=numbers.points(difference.difference),
        low=numbers.points(interval.low, signed=False) if interval else "",
        high=numbers.points(interval.high, signed=False) if interval else "",
        p=p_text,
    )


def _power(difference: PairedDifference, words: dict[str, str]) -> str:
    smallest = difference.smallest_detectable
    if smallest is None:
        return words["could_show_nothing"] + words["stop"]
    text = words["could_show"].format(smallest=numbers.points(smallest, signed=False))
    needed = difference.num_items_to_decide
    if needed is not None and needed > difference.num_items:
        asked = max(_two_digits(needed), difference.num_items + 1)
        text += words["more_items"].format(
            num_items=numbers.count(asked), num_more=numbers.count(asked - difference.num_items)
        )
    return text + words["stop"]


def _two_digits(value: int) -> int:
    """An estimate says no more than two digits."""
    return round(value, 2 - len(str(value)))


def format_sentence(
    model: str, strict_gain: float, flexible_gain: float, *, language: Language = "en"
) -> str:
    """How much of a gain under strict-match is form: learning to end with `#### N`, say."""
    form_gain = strict_gain - flexible_gain
    if strict_gain < _FORM_TOLERANCE:
        key = "format_no_gain"
    elif form_gain < _FORM_TOLERANCE:
        key = "format_none"
    elif flexible_gain < _FORM_TOLERANCE:
        key = "format_all"
    else:
        key = "format_mostly"
    return PHRASES[language][key].format(
        model=capitalised(model),
        strict=numbers.points(strict_gain),
        flexible=numbers.points(flexible_gain),
        form=numbers.points(form_gain, signed=False),
        better=numbers.points(flexible_gain, signed=False),
    )


def seeds_sentence(group: SeedGroup, *, language: Language = "en") -> str:
    """The same cell over several seeds: what training noise leaves of the gain."""
    words = PHRASES[language]
    text = words["seeds"].format(
        model=capitalised(group.name),
        mean=numbers.percent(group.mean_accuracy),
        spread=numbers.points(group.spread, signed=False),
        num_seeds=len(group.seeds),
    )
    if group.mean_difference is not None and group.interval is not None:
        text += words["seeds_gain"].format(
            difference=numbers.points(group.mean_difference),
            low=numbers.points(group.interval.low, signed=False),
            high=numbers.points(group.interval.high, signed=False),
        )
    return text + words["stop"]


def capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]
