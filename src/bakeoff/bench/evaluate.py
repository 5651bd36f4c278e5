"""The same questions by several engines, each at its best batch size, run in turn.

Each cell is a recipe in the bench's folder whose only run is the evaluation of the untouched model;
the rest is as for trainings (``bakeoff.bench.train``).
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from bakeoff.base.errors import RunError
from bakeoff.base.files import write_json_atomic, write_text_atomic
from bakeoff.bench.cells import peak_host_bytes
from bakeoff.bench.machine import describe_machine, noise_notes
from bakeoff.bench.ratios import ratios
from bakeoff.bench.recipe import recipe_text
from bakeoff.bench.train import RESULT, in_turn
from bakeoff.bench.work import why_not_the_same
from bakeoff.compare.samples import load_samples, paired
from bakeoff.recipes import make_recipe
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy, prepare_study
from bakeoff.runner.study import StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import Bench, BenchCell, BenchRatio
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan
from bakeoff.schema.record import Record, Sample

Observe = Callable[[Plan], AbstractContextManager[Observer]]


@dataclass(frozen=True, kw_only=True)
class EvalBench:
    """What is benchmarked."""

    engines: tuple[str, ...]
    """The first is the one that the others are held against."""

    batch_sizes: tuple[int, ...]
    """Tried by each engine; its fastest counts."""

    model: str
    data: str
    num_questions: int
    num_fewshot: int
    max_new_tokens: int
    precision: str
    repeats: int
    device: str = "auto"


@dataclass
class _Cell:
    engine: str
    batch_size: int
    study: PreparedStudy
    records: list[Record | str] = field(default_factory=list)
    """One a repeat; words where there is none."""

    samples: tuple[Sample, ...] = ()
    """Of the last repeat that finished."""

    @property
    def finished(self) -> list[Record | None]:
        return [record if isinstance(record, Record) else None for record in self.records]

    @property
    def seconds(self) -> tuple[float | None, ...]:
        measured = [record.measurement if record is not None else None for record in self.finished]
        return tuple(m.evaluate_seconds if m is not None else None for m in measured)


class EvalBenchRunner:
    """One bench in one folder."""

    def __init__(
        self, bench: EvalBench, folder: Path, workspace: Workspace, observe: Observe
    ) -> None:
        self._bench = bench
        self._folder = folder
        self._workspace = workspace
        self._observe = observe

    def run(self, say: Callable[[str], None]) -> Bench:
        """Do what is not done yet; a cell that fails is said to have failed.

        Args:
            say: Told which cell of which repeat begins.

        Raises:
            UserError: A mistake in what is asked, or the model or the data cannot be had.
        """
        cells = [
            _Cell(engine, size, self._prepared(engine, size))
            for engine in self._bench.engines
            for size in self._bench.batch_sizes
        ]
        for repeat, cell in in_turn(cells, self._bench.repeats):
            say(f"repeat {repeat} of {self._bench.repeats}: {cell.engine}, {cell.batch_size} rows")
            self._evaluate(cell, self._folder / f"repeat-{repeat}")
        result = self._result(cells)
        write_json_atomic(self._folder / RESULT, result.model_dump(mode="json"))
        return result

    def _prepared(self, engine: str, batch_size: int) -> PreparedStudy:
        name = f"{engine}-{batch_size}"
        path = self._folder / "recipes" / f"{name}.yaml"
        bench = self._bench
        values: dict[str, Any] = {
            "name": name,
            "model": {},
            "data": {"num_test": bench.num_questions, "num_validation": 0},
            "device": bench.device,
            "evaluate": {
                "engine": engine,
                "num_fewshot": bench.num_fewshot,
                "max_new_tokens": bench.max_new_tokens,
                "batch_size": batch_size,
                "precision": bench.precision,
            },
        }
        sources = (f"model.source={bench.model}", f"data.source={bench.data}")
        heading = f"{engine}, {batch_size} rows at a time"
        write_text_atomic(path, recipe_text(make_recipe(values, sources), heading))
        study = prepare_study(path, (), cache_dir=self._workspace.cache_dir)
        steps = tuple(step for step in study.plan.steps if _is_of_the_base(step))
        return replace(study, plan=study.plan.model_copy(update={"steps": steps}))

    def _evaluate(self, cell: _Cell, runs_dir: Path) -> None:
        workspace = replace(self._workspace, runs_dir=runs_dir)
        with self._observe(cell.study.plan) as observer:
            try:
                outcome = StudyRunner(cell.study, workspace, observer).run()
            except RunError as error:
                cell.records.append(str(error))
                return
        record = outcome.records[0]
        if record.status != "finished":
            cell.records.append(record.error or record.status)
            return
        cell.records.append(record)
        cell.samples = load_samples(runs_dir, record)

    def _result(self, cells: Sequence[_Cell]) -> Bench:
        best = [
            min((c for c in cells if c.engine == engine), key=_typical_seconds)
            for engine in self._bench.engines
        ]
        made = [_bench_cell(cell) for cell in best]
        found = ratios(made, why_not_the_same)
        records = [record for cell in cells for record in cell.finished if record is not None]
        return Bench(
            bench="eval",
            work={**vars(self._bench), "digest": made[0].digest},
            machine=describe_machine(records),
            cells=tuple(made),
            ratios=tuple(_with_text(ratio, best) for ratio in found),
            notes=(*_notes(cells), *noise_notes(records)),
        )


def _is_of_the_base(step: object) -> bool:
    return not isinstance(step, TrainPlan) and not (
        isinstance(step, EvalPlan) and step.train_id is not None
    )


def _typical_seconds(cell: _Cell) -> float:
    known = [seconds for seconds in cell.seconds if seconds is not None]
    return median(known) if known else float("inf")


def _bench_cell(cell: _Cell) -> BenchCell:
    measured = [record.measurement if record is not None else None for record in cell.finished]
    last = next((record for record in reversed(cell.finished) if record is not None), None)
    peaks = [peak_host_bytes(m) if m is not None else None for m in measured]
    return BenchCell(
        engine=cell.engine,
        setting="best",
        seconds=cell.seconds,
        start_seconds=tuple(m.setup_seconds if m is not None else None for m in measured),
        peak_host_bytes=tuple(peaks),
        added_host_bytes=tuple(m.added_host_bytes if m is not None else None for m in measured),
        scores={f"{s.metric},{s.filter}": s.value for s in last.scores} if last else {},
        digest=_digest(cell.samples) if last else None,
        facts={
            "num_questions": len(cell.samples),
            "num_generated_tokens": _num_tokens(cell.samples),
            "precision": last.effective["precision"] if last else None,
            "device": last.effective["device"] if last else None,
            "generation": last.effective["generation"] if last else None,
        },
        settings={"batch_size": cell.batch_size},
        why=f"{cell.batch_size} rows at a time, its fastest of those tried",
        failures=tuple(record for record in cell.records if isinstance(record, str)),
    )


def _digest(samples: Sequence[Sample]) -> str:
    """Of the prompts: the work."""
    return hashlib.sha256("".join(s.prompt_digest for s in samples).encode("ascii")).hexdigest()


def _num_tokens(samples: Sequence[Sample]) -> int | None:
    counts = [sample.num_output_tokens for sample in samples]
    return None if None in counts else sum(count or 0 for count in counts)


def _with_text(ratio: BenchRatio, best: Sequence[_Cell]) -> BenchRatio:
    if ratio.refused is not None:
        return ratio
    own, other = (
        next(cell.samples for cell in best if cell.engine == name) for name in (ratio.of, ratio.to)
    )
    return ratio.model_copy(update={"same_text_share": _same_text(own, other)})


def _same_text(own: Sequence[Sample], other: Sequence[Sample]) -> float | None:
    pairs = paired(own, other)
    return sum(a.output == b.output for a, b in pairs) / len(pairs) if pairs else None


def _notes(cells: Sequence[_Cell]) -> Iterator[str]:
    """What every batch size took, and how far an engine agrees with itself."""
    for engine in dict.fromkeys(cell.engine for cell in cells):
        own = [cell for cell in cells if cell.engine == engine and cell.samples]
        if not own:
            continue
        times = ", ".join(f"{c.batch_size}: {_typical_seconds(c):.1f} s" for c in own)
        yield f"{engine}, time by rows at a time: {times}"
        shares = [
            share
            for a, b in itertools.pairwise(own)
            if (share := _same_text(a.samples, b.samples)) is not None
        ]
        if shares:
            yield (
                f"{engine} gives the same text at two batch sizes for {min(shares):.0%} of the "
                "questions: no other engine can be expected to agree with it more often"
            )
