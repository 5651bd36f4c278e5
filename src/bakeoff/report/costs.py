"""Tables of what runs cost: where the time went, what memory, speed and energy came to."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bakeoff.compare import numbers
from bakeoff.compare.repeats import spread, turns_of, without_repeats
from bakeoff.report.settings import shots
from bakeoff.report.table import Cell, Column, Table, without_empty_columns
from bakeoff.schema.figures import peak_memory
from bakeoff.schema.record import Measurement, Record

_PHASES = {
    "start": "Start",
    "import": "Imports",
    "prepare": "Preparing",
    "load_data": "Reading data",
    "load_model": "Loading model",
    "first_step": "First step",
    "warm_up_steps": "Warm-up",
    "steady_steps": "Steady steps",
    "train": "Steps",
    "validate": "Validation",
    "evaluate": "Answering",
    "save": "Saving",
}

_WITH_RANGE = ("Tokens/s, steady", "Peak memory")
"""Of the figures of repeated trainings; the others follow from these."""

Read = Callable[[Measurement], float | None]


def costs_table(records: Sequence[Record], names: Mapping[str, str]) -> Table | None:
    """Where the time of every run went, a column a phase."""
    measured = _measured(records)
    if not measured:
        return None
    columns = [
        Column("Run", "left"),
        Column("Total"),
        *(Column(title) for title in _PHASES.values()),
        Column("Median step"),
        Column("Attempts"),
    ]
    lines = [
        [
            Cell(_label(record, names)),
            Cell(_of_turns(record, records, lambda m: m.wall_seconds, numbers.seconds)),
            *(
                Cell(
                    _of_turns(
                        record,
                        records,
                        _phase(phase),
                        numbers.seconds,
                        with_range=phase == "steady_steps",
                    )
                )
                for phase in _PHASES
            ),
            Cell(
                _of_turns(record, records, lambda m: m.step_seconds_median, _step, with_range=False)
            ),
            Cell(str(found.num_attempts)),
        ]
        for record, found in measured
    ]
    note = (
        "Total is the whole process. Warm-up: after each start a tenth of the steps, at least one "
        "and at most ten, the first told apart."
    )
    if any(record.repeat_of for record in records):
        note += (
            " Of repeated trainings the median; of the total and the steady steps also the lowest "
            "and the highest."
        )
    table = Table(columns, lines, note=note, key="costs")
    return without_empty_columns(table, numbers.MISSING)


def speed_table(records: Sequence[Record], names: Mapping[str, str]) -> Table | None:
    """Memory, speed, energy and price of each training; None without any."""
    measured = [(r, found) for r, found in _measured(records) if r.kind == "train"]
    if not measured:
        return None
    readings: tuple[tuple[str, Read, Callable[[float], str]], ...] = (
        ("Tokens/s, steady", lambda m: m.steady_tokens_per_second, numbers.rate),
        ("Learned tokens/s", lambda m: m.label_tokens_per_second, numbers.rate),
        ("Rows/s", lambda m: m.samples_per_second, numbers.rate),
        ("FLOPs used (MFU)", lambda m: m.mfu, numbers.percent),
        ("Peak memory", lambda m: peak_memory(m)[0], _bytes),
        ("Added over start", lambda m: m.added_host_bytes, _bytes),
        ("High-water mark", lambda m: m.high_water_host_bytes, _bytes),
        ("GPU busy", _utilisation, numbers.percent),
        ("Energy", lambda m: m.energy_joules, _energy),
        ("Cost", lambda m: m.cost, lambda value: f"{value:.3g}"),
    )
    currencies = {found.currency for _, found in measured if found.currency}
    price = f"Cost, {currencies.pop()}" if len(currencies) == 1 else "Cost"
    columns = [
        Column("Training", "left"),
        *(Column(price if title == "Cost" else title) for title, _, _ in readings),
    ]
    lines = [
        [
            Cell(names[record.run_id]),
            *(
                Cell(_of_turns(record, records, read, text, with_range=title in _WITH_RANGE))
                for title, read, text in readings
            ),
        ]
        for record, _ in measured
    ]
    table = Table(columns, lines, note=" ".join(_notes(measured)), key="speed")
    return without_empty_columns(table, numbers.MISSING)


def _notes(measured: Sequence[tuple[Record, Measurement]]) -> Iterator[str]:
    """What a reader must know of the figures that are there."""
    found = [measurement for _, measurement in measured]
    yield (
        "Rates are of the steps after warm-up. Added over start: the peak of host memory less what "
        "interpreter and libraries held before the model's weights. High-water mark: the kernel's "
        "own, which misses no peak but counts shared pages in each process."
    )
    if any(m.mfu is not None for m in found):
        yield (
            "MFU: operations that the training needs, recomputation not counted, over what matrix "
            "products reach on this device."
        )
    if sources := sorted({f"{e.part} by {e.source}" for m in found for e in m.energy}):
        yield f"Energy: {', '.join(sources)}, whoever used it."
    cached = [m.model_cached_share for m in found if m.model_cached_share is not None]
    if cached:
        words = (
            "lay in memory before every start"
            if min(cached) > 0.9
            else ("had partly to be read from disk")
        )
        yield f"The model's weights {words}."


def _measured(records: Sequence[Record]) -> list[tuple[Record, Measurement]]:
    return [(r, r.measurement) for r in without_repeats(records) if r.measurement]


def _label(record: Record, names: Mapping[str, str]) -> str:
    return f"{names[record.run_id]} ({'training' if record.kind == 'train' else shots(record)})"


def _of_turns(
    record: Record,
    records: Sequence[Record],
    read: Read,
    text: Callable[[float], str],
    *,
    with_range: bool = True,
) -> str:
    """One figure; the median where the run was repeated, and the range if it shows."""
    turns = turns_of(record.run_id, records) or [record]
    found = spread(turns, lambda r: read(r.measurement) if r.measurement else None)
    if found is None:
        return numbers.MISSING
    low, high = text(found.low), text(found.high)
    shown = f" ({low} to {high})" if with_range and low != high else ""
    return f"{text(found.median)}{shown}"


def _phase(name: str) -> Read:
    return lambda m: next((cost.seconds for cost in m.phases if cost.phase == name), None)


def _utilisation(measured: Measurement) -> float | None:
    shares = [device.mean_utilisation_share for device in measured.devices]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _bytes(value: float) -> str:
    return numbers.num_bytes(round(value))


def _step(seconds: float) -> str:
    return f"{seconds:.3g} s"


def _energy(joules: float) -> str:
    return f"{joules / 3.6e6:.3g} kWh" if joules >= 3.6e5 else f"{joules:,.0f} J"
