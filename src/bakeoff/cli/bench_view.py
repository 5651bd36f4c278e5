"""A bench as tables: what each took, and in multiples of the first."""

from collections.abc import Iterator, Sequence
from statistics import median

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.names import backend_title
from bakeoff.compare.numbers import MISSING, count, num_bytes, percent, seconds
from bakeoff.schema.bench import Bench, BenchCell, BenchRatio, SamplerBench, Spread


def bench_view(bench: Bench) -> RenderableType:
    return Group(
        _work(bench),
        _cells(bench.cells),
        *([_ratios(bench.ratios)] if bench.ratios else []),
        *_remarks(bench),
    )


def _work(bench: Bench) -> Text:
    work, machine = bench.work, bench.machine
    num_rows = count(work.get("num_examples") or work.get("num_questions"))
    facts = [f"{work.get('model')}, {num_rows} rows of {work.get('data')}"]
    if work.get("num_steps"):
        facts.append(
            f"{work['num_steps']} steps, {count(work.get('num_label_tokens'))} label tokens"
        )
    where = machine.get("gpus") or [f"{machine.get('num_usable_cpu_cores')} CPU cores"]
    return Text(f"{'; '.join(facts)}; on {', '.join(where)}", style="bold")


def _table(*headings: str, left: int = 2) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < left else "right")
    return table


def _cells(cells: Sequence[BenchCell]) -> Table:
    on_gpu = any(cell.peak_device_bytes for cell in cells)
    is_training = any(cell.train_loss for cell in cells)
    headings = ["", "setting", "time", "start", "peak memory", "added"]
    headings += ["GPU memory"] if on_gpu else []
    table = _table(*headings, *(["train loss"] if is_training else []))
    for cell in cells:
        device = [_memory(cell.peak_device_bytes)] if on_gpu else []
        loss = _middle(cell.train_loss)
        table.add_row(
            backend_title(cell.name),
            _setting(cell),
            seconds(_middle(cell.seconds)),
            seconds(_middle(cell.start_seconds)),
            _memory(cell.peak_host_bytes),
            _memory(cell.added_host_bytes),
            *device,
            *([MISSING if loss is None else f"{loss:.4f}"] if is_training else []),
        )
    return table


def _setting(shown: BenchCell | BenchRatio) -> str:
    return ", ".join(filter(None, (shown.method, shown.setting)))


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _memory(values: Sequence[int | None]) -> str:
    middle = _middle(values)
    return num_bytes(None if middle is None else round(middle))


def _ratios(found: Sequence[BenchRatio]) -> Table:
    on_gpu = any(ratio.device_memory for ratio in found)
    headings = [f"in multiples of {backend_title(found[0].of)}", "setting"]
    are_answers = any(ratio.same_text_share is not None for ratio in found)
    kinds = ["time", "start", "peak memory", "added", *(["GPU memory"] if on_gpu else [])]
    kinds += ["same text"] if are_answers else []
    table = _table(*headings, *kinds)
    for ratio in found:
        spreads = [ratio.time, ratio.start, ratio.memory, ratio.added_memory]
        spreads += [ratio.device_memory] if on_gpu else []
        shown = [_spread(spread) for spread in spreads]
        shown += [percent(ratio.same_text_share)] if are_answers else []
        table.add_row(
            backend_title(ratio.to), _setting(ratio), *(["refused"] if ratio.refused else shown)
        )
    return table


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    if spread.low is None or spread.high is None:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def sampler_view(bench: SamplerBench) -> RenderableType:
    cost = _table("process", "sampled", "interval", "of one core", left=1)
    for cell in bench.cells:
        interval = MISSING if cell.interval_seconds is None else f"{cell.interval_seconds:.2f} s"
        cost.add_row(
            num_bytes(cell.held_bytes),
            num_bytes(cell.sampled_bytes),
            interval,
            percent(cell.core_share, digits=2),
        )
    sizes = tuple(dict.fromkeys(peak.held_bytes for peak in bench.peaks))
    seen = _table("peaks seen, by length", *(num_bytes(size) for size in sizes), left=1)
    for seconds_long in dict.fromkeys(peak.peak_seconds for peak in bench.peaks):
        row = [peak for peak in bench.peaks if peak.peak_seconds == seconds_long]
        shown = [f"{peak.num_seen} of {peak.num_peaks}" for peak in row]
        seen.add_row(f"{seconds_long:g} s", *shown)
    counter = bench.machine.get("host_memory_counter")
    return Group(cost, seen, Text(f"memory counted as {counter}", style="dim"))


def _remarks(bench: Bench) -> Iterator[Text]:
    for ratio in bench.ratios:
        if ratio.refused:
            who = f"{ratio.of} and {ratio.to}, {ratio.setting}"
            yield Text.assemble(("not compared: ", "bold yellow"), f"{who}: {ratio.refused}")
    compared = [ratio for ratio in bench.ratios if not ratio.refused]
    if compared:
        num_pairs, interval = compared[0].num_pairs, compared[0].interval
        yield Text(
            f"median of {num_pairs} pairs of runs, in brackets {interval}"
            if interval
            else "one pair of runs: how far the ratios spread is not known",
            style="dim",
        )
    for cell in bench.cells:
        yield Text(f"{backend_title(cell.name)}, {_setting(cell)}: {cell.why}", style="dim")
        for failure in cell.failures:
            who = f"{cell.name}, {cell.setting}"
            yield Text.assemble(("failed: ", "bold red"), f"{who}: {failure}")
    for note in bench.notes:
        yield Text.assemble(("note: ", "yellow"), note)
