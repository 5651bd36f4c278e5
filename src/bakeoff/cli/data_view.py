"""What a check found and what a split made, for a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING
from bakeoff.compare.numbers import seconds as show_duration
from bakeoff.schema.data_check import DataCheck, Example, Finding
from bakeoff.schema.data_split import SplitRecord
from bakeoff.schema.recipe_subject import DataSpec

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_NUM_EXAMPLES = 3


def check_view(found: DataCheck) -> RenderableType:
    """Sizes by split, every finding with its first examples, and the sum."""
    findings = [Padding(_finding(finding), (0, 0, 1, 0)) for finding in found.findings]
    return Group(_splits_table(found), *findings, _verdict(found))


def split_view(
    record: SplitRecord, folder: Path, data: DataSpec, *, is_reused: bool
) -> RenderableType:
    """Sizes, and the lines that a recipe needs."""
    sizes = ", ".join(f"{name} {count:,}" for name, count in record.num_rows.items())
    done = "is there already, of the same rows and settings" if is_reused else "made"
    lines = [f"{folder} {done}: {sizes}"]
    if record.num_left_out:
        lines.append(f"{record.num_left_out:,} rows left out: they go with rows of the test split")
    lines += [
        "in a recipe:",
        "  data:",
        f"    source: {json.dumps(str(folder), ensure_ascii=False)}",
    ]
    if "validation" in record.num_rows:
        lines.append("    validation: validation")
        lines.append(f"    num_validation: {record.num_rows['validation']}")
    named = data.model_dump(include={"format", "columns", "tags"}, exclude_defaults=True)
    lines += [f"    {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in named.items()]
    return Text("\n".join(lines))


def _splits_table(found: DataCheck) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    units = {facts.lengths.unit for facts in found.splits.values() if facts.lengths}
    unit = next(iter(units), "tokens")
    table.add_column("split")
    table.add_column("read as")
    for name in ("rows", "unusable", f"{unit}: median", "95 %", "longest"):
        table.add_column(name, justify="right")
    table.add_column("from", overflow="fold", style="dim")
    for name, facts in found.splits.items():
        lengths = facts.lengths
        sizes = (
            [f"{size:,}" for size in (lengths.median, lengths.percentile_95, lengths.longest)]
            if lengths
            else [MISSING] * 3
        )
        bad = Text(f"{facts.num_bad_rows:,}", "bold red" if facts.num_bad_rows else "")
        files = Text(", ".join(facts.files))
        table.add_row(name, facts.row_format or MISSING, f"{facts.num_rows:,}", bad, *sizes, files)
    return table


def _finding(finding: Finding) -> Text:
    split = f" ({finding.split})" if finding.split else ""
    text = Text.assemble(
        (f"{finding.severity}: ", _STYLES[finding.severity]),
        (finding.message, "bold" if finding.severity != "info" else ""),
        (f"{split} [{finding.code}]", "dim"),
    )
    for line in _example_lines(finding):
        text.append("\n  ").append_text(line)
    if finding.severity != "info":
        text.append("\n  why: ", "dim").append(finding.why)
        text.append("\n  do:  ", "cyan").append(finding.todo)
    return text


def _example_lines(finding: Finding) -> Iterator[Text]:
    for example in finding.examples[:_NUM_EXAMPLES]:
        yield from _example(example)
    more = finding.count - min(len(finding.examples), _NUM_EXAMPLES)
    if finding.examples and more > 0:
        yield Text(f"and {more:,} more", "dim")


def _example(example: Example) -> Iterator[Text]:
    yield Text.assemble((f"{example.place}: ", "dim"), example.text)
    if example.other_place is not None:
        share = f" ({example.share:.0%} alike)" if example.share is not None else ""
        yield Text.assemble((f"= {example.other_place}{share}: ", "dim"), example.other_text or "")


def _verdict(found: DataCheck) -> Text:
    took = Text(f" in {show_duration(found.seconds)}", "dim")
    if not found.num_errors and not found.num_warnings:
        return Text("nothing to complain of", "green").append_text(took)
    errors = _number(found.num_errors, "error")
    warnings = _number(found.num_warnings, "warning")
    style = "bold red" if found.num_errors else "yellow"
    return Text(f"{errors}, {warnings}", style).append_text(took)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
