"""What a parity check found, side by side."""

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.parity import REFERENCE
from bakeoff.schema.parity import CellParity, Difference, Parity, ProbedRow

_SHOWN_TOKENS = 6


def parity_view(parity: Parity) -> RenderableType:
    return Group(*(part for cell in parity.cells for part in _cell(cell)), _verdict(parity))


def _cell(cell: CellParity) -> Iterator[RenderableType]:
    name = ", ".join(f"{key}={value}" for key, value in cell.cell.items())
    yield Text(name, style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for backend in cell.backends:
        table.add_column(backend, justify="right", overflow="fold")
    for what, values in _facts(cell):
        table.add_row(what, *values)
    yield table
    yield Text(f"loss of a plain forward pass in fp32: {cell.step0_loss[REFERENCE]:.6f}")
    for backend, error in cell.failed.items():
        yield Text.assemble(("failed: ", "bold red"), f"{backend}: {error}")
    for difference in cell.differences:
        yield _difference(difference)
    yield Text()


def _facts(cell: CellParity) -> Iterator[tuple[str, list[str]]]:
    names = cell.backends
    yield "tokens a step", [_counts(cell.num_tokens[name]) for name in names]
    yield "labels a step", [_counts(cell.num_labels[name]) for name in names]
    yield "first row begins", [_some(cell.first_rows[name], "token_ids", 0) for name in names]
    yield "first row ends", [_some(cell.first_rows[name], "token_ids", -1) for name in names]
    yield "its labels end", [_some(cell.first_rows[name], "labels", -1) for name in names]
    yield "loss before the first step", [f"{cell.step0_loss[name]:.6f}" for name in names]
    yield (
        "losses" if all(len(cell.losses[name]) == 1 for name in names) else "losses of each seed",
        ["\n".join(_curve(curve) for curve in cell.losses[name]) for name in names],
    )


def _counts(numbers: tuple[int, ...]) -> str:
    return " ".join(str(number) for number in numbers)


def _curve(losses: tuple[float, ...]) -> str:
    return " ".join(f"{loss:.4f}" for loss in losses)


def _some(row: ProbedRow, part: str, end: int) -> str:
    ids = getattr(row, part)
    return _counts(ids[:_SHOWN_TOKENS] if end == 0 else ids[-_SHOWN_TOKENS:])


def _difference(difference: Difference) -> Text:
    style = "bold yellow" if difference.affects == "result" else "dim"
    label = "differs: " if difference.affects == "result" else "differs in cost: "
    text = Text.assemble((label, style), difference.what)
    for backend, value in difference.values.items():
        text.append(f"\n  {backend}: {value}")
    if difference.cause is not None:
        text.append(f"\n  why: {difference.cause}")
    return text


def _verdict(parity: Parity) -> Text:
    same = parity.tokens_equal and parity.labels_equal
    words = "equal token ids and labels" if same else "token ids or labels DIFFER"
    serious = sum(difference.affects == "result" for difference in parity.differences)
    failed = dict.fromkeys(name for cell in parity.cells for name in cell.failed)
    style = "green" if same and not serious and not failed else "yellow"
    others = len(parity.differences) - serious
    said = (
        f"{', '.join(parity.backends)}: {words}; {serious} differences that touch the result, "
        f"{others} that touch its cost"
    )
    verdict = Text(said if parity.backends else "there is nothing to compare", style)
    if failed:
        verdict.append(f"\nnot compared where it failed: {', '.join(failed)}", "bold red")
    return verdict
