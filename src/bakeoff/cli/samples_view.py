"""Single answers on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING, seconds
from bakeoff.compare.samples import metric_key
from bakeoff.schema.comparison import Flip
from bakeoff.schema.record import Record, Sample, Score

_LONGEST_TEXT = 700
_ENDINGS = {
    "end_token": "ended by itself",
    "stop_string": "ended at a stop string",
    "token_limit": "cut at the token limit",
}


def answers_view(
    record: Record, score: Score, found: Sequence[Sample], *, shown: Sequence[Sample], is_full: bool
) -> Group:
    """What each answer was and what was made of it."""
    head = f"{record.run_id}: {len(shown)} of {len(found)} answers, scored by {metric_key(score)}"
    parts: list[RenderableType] = [Text(head, "bold")]
    for sample in shown:
        mark = _mark(sample.correct[metric_key(score)])
        parts += [_rule(sample, mark), _table(sample, None, ("", ""), is_full=is_full)]
    return Group(*parts)


def flips_view(
    names: tuple[str, str],
    score: Score,
    found: Sequence[Flip],
    *,
    shown: Sequence[Flip],
    is_full: bool,
) -> Group:
    """Both answers to each item that flipped."""
    num_worse = sum(flip.is_worse for flip in found)
    head = (
        f"{names[0]} against {names[1]}, scored by {metric_key(score)}: {num_worse} items got "
        f"worse, {len(found) - num_worse} got better; {len(shown)} shown"
    )
    parts: list[RenderableType] = [Text(head, "bold")]
    for flip in shown:
        mark = Text("got worse", "red") if flip.is_worse else Text("got better", "green")
        parts += [_rule(flip.sample, mark), _table(flip.sample, flip.other, names, is_full=is_full)]
    return Group(*parts)


def _mark(value: float) -> Text:
    if value in (0, 1):
        return Text("right", "green") if value else Text("wrong", "red")
    return Text(f"{value:.3f}", "yellow")


def _rule(sample: Sample, mark: Text) -> Rule:
    task = f"{sample.task}, " if sample.task else ""
    return Rule(Text.assemble(f"{task}item {sample.index}: ", mark), align="left", style="dim")


def _table(sample: Sample, other: Sample | None, names: tuple[str, str], *, is_full: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(sample, other, names, is_full=is_full):
        table.add_row(name, Text(text))
    return table


def _lines(
    sample: Sample, other: Sample | None, names: tuple[str, str], *, is_full: bool
) -> Iterator[tuple[str, str]]:
    yield "prompt", _end_of(sample.prompt, is_full=is_full)
    yield "target", _start_of(sample.target, is_full=is_full)
    for one, name in ((other, names[1]), (sample, names[0])):
        if one is not None:
            yield name or "output", _start_of(one.output, is_full=is_full)
            yield "", _facts(one)


def _facts(sample: Sample) -> str:
    """`strict-match: 42; 61 tokens, ended by itself, 1.2 s`."""
    found = [
        f"{name}: {MISSING if text is None else text}" for name, text in sample.extracted.items()
    ]
    facts = []
    if sample.num_output_tokens is not None:
        facts.append(f"{sample.num_output_tokens} tokens")
    if sample.stop_reason is not None:
        facts.append(_ENDINGS[sample.stop_reason])
    if sample.seconds is not None:
        facts.append(seconds(sample.seconds))
    return "; ".join([", ".join(found), *([", ".join(facts)] if facts else [])])


def _start_of(text: str, *, is_full: bool) -> str:
    text = text.strip() or "(nothing)"
    return text if is_full or len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " …"


def _end_of(text: str, *, is_full: bool) -> str:
    """The question stands last; worked examples before it may be long."""
    return text if is_full or len(text) <= _LONGEST_TEXT else "… " + text[-_LONGEST_TEXT:]
