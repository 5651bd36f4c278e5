"""What a dataset looks like, for a terminal; without colours marks say what colours say."""

import json
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING
from bakeoff.data.rows import COLUMN_MEANINGS
from bakeoff.schema.data_inspection import ColumnFacts, DataInspection, Sample

_MASKED, _LEARNED = "dim", "bold green"
_OPEN, _CLOSE = "{+", "+}"
"""As wdiff marks what is new; `<<` would be taken for a part of GSM8K's answers."""

_BAR_CELLS = 40
_SHOWN_CHARACTERS = 2_000


def inspect_view(found: DataInspection) -> RenderableType:
    """Splits, columns, first rows, lengths, and the training's own texts and tokens."""
    parts: list[RenderableType] = [_splits(found), _columns(found)]
    if found.first_rows:
        parts += [_heading(f"first rows of {found.shown_split}"), *map(_row, found.first_rows)]
    if found.lengths:
        parts += [_heading(f"lengths of {found.shown_split} in {found.length_unit}"), _bars(found)]
    if found.samples:
        parts += [_heading("what the training sees"), _legend(found)]
        parts += [_sample(sample, found.end_token) for sample in found.samples]
    return Group(*parts)


def _heading(text: str) -> Text:
    return Text(f"\n{text}", "bold")


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _splits(found: DataInspection) -> Table:
    table = _table("split", "rows", "unusable", "from", right=("rows", "unusable"))
    for name, size in found.splits.items():
        bad = Text(f"{size.num_bad_rows:,}", "bold red" if size.num_bad_rows else "")
        table.add_row(name, f"{size.num_rows:,}", bad, Text(", ".join(size.files)))
    if any(size.num_bad_rows for size in found.splits.values()):
        table.caption = "`bakeoff data check` tells what is wrong with the unusable rows"
    return table


def _columns(found: DataInspection) -> Table:
    names = ("column", "read as", "holds", "filled", "longest")
    table = _table(*names, right=("filled", "longest"))
    for column in found.columns:
        longest = MISSING if column.longest is None else f"{column.longest:,} characters"
        table.add_row(Text(column.name), _role(column), _types(column), _filled(column), longest)
    return table


def _role(column: ColumnFacts) -> Text:
    if column.role is None:
        return Text("not used", "dim")
    return Text(COLUMN_MEANINGS[column.role], "green")


def _types(column: ColumnFacts) -> str:
    if len(column.types) == 1:
        return next(iter(column.types))
    return ", ".join(f"{name} ({count:,})" for name, count in column.types.items())


def _filled(column: ColumnFacts) -> str:
    if column.num_filled == column.num_rows:
        return "all"
    return f"{column.num_filled:,} of {column.num_rows:,}"


def _row(row: dict[str, Any]) -> Table:
    table = Table(box=box.SQUARE, show_header=False, expand=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(Text(name), Text(_shortened(_as_text(value))))
    return table


def _as_text(value: object) -> str:
    """Text as it is, turns one a line, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "\n".join(_turn_text(item) for item in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _turn_text(turn: object) -> str:
    """`human: What is one and one?` of a turn that says who speaks and what, and no more."""
    if isinstance(turn, dict) and len(turn) == 2 and all(isinstance(v, str) for v in turn.values()):
        return ": ".join(turn.values())
    return json.dumps(turn, ensure_ascii=False, default=str)


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}... ({len(text) - _SHOWN_CHARACTERS:,} more characters)"


def _bars(found: DataInspection) -> RenderableType:
    largest = max(part.count for part in found.lengths)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for part in found.lengths:
        bar = "█" * max(round(part.count / largest * _BAR_CELLS), part.count > 0)
        style = "red" if part.start > found.max_length else "blue"
        table.add_row(f"{part.start:,} - {part.end - 1:,}", Text(bar, style), f"{part.count:,}")
    fate = Text(f"{found.num_too_long:,} longer than `train.max_length` ({found.max_length:,})")
    if found.tokenizer is None:
        fate.append(
            "; lengths are estimates: no tokenizer is on disk (--model names one)", "yellow"
        )
    return Group(table, fate)


def _legend(found: DataInspection) -> Text:
    end = ", the end-of-sequence token included" if found.end_token is not None else ""
    return Text.assemble(
        ("read, not learned (label -100)", _MASKED),
        "; ",
        (f"{_OPEN} learned{end} {_CLOSE}", _LEARNED),
    )


def _sample(sample: Sample, end_token: str | None) -> Text:
    text = Text.assemble("\n", (sample.place, "cyan"))
    if sample.token_ids is not None and sample.labels is not None:
        learned = sum(label >= 0 for label in sample.labels)
        text.append(f": {len(sample.token_ids):,} tokens, {learned:,} of them learned")
    if sample.num_cut:
        text.append(f" - {sample.num_cut:,} more were cut off the question's beginning", "yellow")
    if sample.is_dropped:
        text.append(" - longer than allowed, never trained on", "red")
    text.append("\n").append_text(_marked_text(sample, end_token))
    if sample.token_ids is not None and sample.labels is not None:
        pairs = list(zip(sample.token_ids, sample.labels, strict=True))
        text.append_text(_numbers("ids   ", [(token, label) for token, label in pairs]))
        text.append_text(_numbers("labels", [(label, label) for _, label in pairs]))
    return text


def _marked_text(sample: Sample, end_token: str | None) -> Text:
    text = Text()
    is_open = False
    for part in sample.segments:
        if part.learned and not is_open:
            text.append(_OPEN, _LEARNED)
        elif is_open and not part.learned:
            text.append(_CLOSE, _LEARNED)
        is_open = part.learned
        text.append(part.text, _LEARNED if part.learned else _MASKED)
    if end_token is not None:
        text.append("" if is_open else _OPEN, _LEARNED).append(end_token, "bold magenta")
    return text.append(_CLOSE, _LEARNED) if is_open or end_token is not None else text


def _numbers(name: str, pairs: list[tuple[int, int]]) -> Text:
    text = Text(f"\n{name}", "cyan")
    for shown, label in pairs:
        text.append(f" {shown}", _LEARNED if label >= 0 else _MASKED)
    return text
