"""Predictions for people."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING
from bakeoff.compare.numbers import seconds as show_duration
from bakeoff.predict.parts import PART_TITLES
from bakeoff.schema.prediction import Change, Claim, FitReport, FittedRun, Gpu, Prediction, Probed


def fit_view(report: FitReport) -> RenderableType:
    """Each training by part, whether it fits, and what to change."""
    limit = "" if report.limit_bytes is None else f": {_gb(report.limit_bytes)} ({report.limit_is})"
    head = Text.assemble(("study ", "dim"), (report.study, "bold"), f" on {report.device}{limit}")
    parts: list[RenderableType] = [head, Text()]
    if len(report.runs) > 1:
        parts.append(_overview(report.runs))
    for alike in _alike(report.runs):
        parts.extend(_run(alike))
    return Group(*parts)


def _alike(runs: Sequence[FittedRun]) -> list[list[FittedRun]]:
    """Runs that differ in nothing that was predicted are shown once."""
    groups: dict[str, list[FittedRun]] = {}
    for run in runs:
        key = run.model_dump_json(exclude={"run", "cell"})
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _overview(runs: Sequence[FittedRun]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("training", overflow="fold")
    for column in ("needs", "tensors", "training time", "disk"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    for run in runs:
        found = run.prediction
        table.add_row(
            _name(run),
            MISSING if found is None else _gb(found.needed_bytes),
            MISSING if found is None else _gb(found.allocated_bytes),
            MISSING if found is None else show_duration(found.seconds),
            MISSING if found is None or found.disk_bytes is None else _gb(found.disk_bytes),
            _verdict(run),
        )
    return table


def _run(alike: Sequence[FittedRun]) -> Iterator[RenderableType]:
    run = alike[0]
    yield Text("; ".join(_name(one) for one in alike), style="bold")
    if run.prediction is None:
        yield Text(run.problem or "", style="yellow")
        yield Text()
        return
    if run.num_processes > 1:
        yield Text(f"  each of {run.num_processes} processes:", style="dim")
    yield from _memory(run.prediction)
    yield Text.assemble(_verdict(run), _margin(run))
    yield from (_change(number, change) for number, change in enumerate(run.changes, start=1))
    if run.changes:
        every = _last_of_each(run.changes)
        yield Text("  " + " ".join(f"--set {setting}" for setting in every), style="cyan")
    elif run.fits is False:
        yield Text("  no change known here makes it fit: take a smaller model")
    if run.claim is not None:
        yield from _claim(run.claim)
    yield Text()


def _memory(found: Prediction) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for part in found.parts:
        if part.num_bytes >= 10**6:
            table.add_row(f"  {PART_TITLES[part.name]}", _gb(part.num_bytes))
    table.add_row(f"  tensors at the peak ({found.peak_at})", _gb(found.allocated_bytes))
    if found.reserved_bytes is not None:
        table.add_row("  held by torch's allocator", _gb(found.reserved_bytes))
    if found.process_bytes is not None:
        table.add_row("  process, with the CUDA context", _gb(found.process_bytes))
    if found.host_bytes is not None:
        table.add_row("  added to the process on the host", _gb(found.host_bytes))
    yield table
    how = "traced through the real step" if found.source == "trace" else "by formulas"
    rows = f"{found.batch_rows} x {found.row_tokens} tokens, {how}"
    notes = "; ".join([rows, *found.assumptions])
    yield Text(f"  {notes}", style="dim")
    if found.seconds is not None:
        yield Text(f"  training about {show_duration(found.seconds)} ({found.seconds_from})")
    if found.disk_bytes is not None:
        yield Text(f"  up to {_gb(found.disk_bytes)} on disk")


def _change(number: int, change: Change) -> Text:
    time = f"x {change.time_factor:.2f} time" if change.time_factor != 1 else "same time"
    same = "" if change.keeps_result else "; changes what is learnt"
    settings = " ".join(f"--set {setting}" for setting in change.settings)
    return Text(
        f"  {number}. {settings}  ({change.text}): {_gb(change.needed_bytes)}, {time}{same}"
    )


def _claim(claim: Claim) -> Iterator[Text]:
    word = "possible" if claim.is_possible else "impossible"
    style = "green" if claim.is_possible else "bold red"
    relation = "no implementation of this method can need less than"
    yield Text.assemble(
        f"  the claim of {_gb(claim.claimed_bytes)} is ",
        (word, style),
        f": {relation} {_gb(claim.floor_bytes)}",
    )
    for reason in claim.reasons:
        yield Text(f"    {reason}")


def probe_view(found: Sequence[Probed]) -> Table:
    """The largest number of rows a pass of each training, and what was tried."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("training", "rows a pass", "needed", "outcome"):
        table.add_column(column, overflow="fold")
    for one in found:
        name = f"{one.backend} {one.method}"
        table.add_row(name, f"largest: {one.largest_batch_size}", f"of {_gb(one.limit_bytes)}", "")
        for tried in one.tries:
            needed = MISSING if tried.needed_bytes is None else _gb(tried.needed_bytes)
            word = "fits" if tried.fits else (tried.error or "does not fit").partition("\n")[0]
            table.add_row("", str(tried.batch_size), needed, word)
    return table


def gpu_table(gpus: Sequence[Gpu]) -> Table:
    """Every GPU that ``--gpu`` takes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("--gpu", "GPU", "memory", "bf16", "bandwidth"):
        table.add_column(column, no_wrap=True)
    for gpu in gpus:
        kind = f"{gpu.bf16_tflops:g} TFLOP/s" + ("" if gpu.has_bf16 else " (fp16 only)")
        memory = f"{gpu.memory_bytes / 1024**3:.1f} GiB"
        table.add_row(gpu.key, gpu.title, memory, kind, f"{gpu.bandwidth_gb:g} GB/s")
    return table


def _last_of_each(changes: Sequence[Change]) -> list[str]:
    last: dict[str, str] = {}
    for change in changes:
        for setting in change.settings:
            last[setting.partition("=")[0]] = setting
    return list(last.values())


def _name(run: FittedRun) -> str:
    cell = ", ".join(f"{key}={value}" for key, value in run.cell.items())
    return cell or run.run


def _verdict(run: FittedRun) -> Text:
    if run.fits is None:
        return Text("unknown", "yellow")
    return Text("fits", "green") if run.fits else Text("does not fit", "bold red")


def _margin(run: FittedRun) -> str:
    if run.prediction is None or run.limit_bytes is None:
        return ""
    left = run.limit_bytes - run.prediction.needed_bytes
    if left < 0:
        what = ": with all of this it does" if run.changes else ""
        return f", {_gb(-left)} too much{what}"
    return f", {_gb(left)} to spare"


def _gb(num_bytes: int) -> str:
    """Decimal, as memory is spoken of in recipes and claims."""
    return f"{num_bytes / 1e9:.2f} GB"
