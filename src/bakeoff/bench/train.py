"""The same training by several backends, run in turn, each in its default, best and lean setting.

Each cell is a recipe in the bench's folder and each repeat a folder of runs, so that a cell is
what `bakeoff run RECIPE --runs-dir REPEAT` does, and a bench that was killed finds what it
finished. Repeats go round by round (A B A B).

- ``FOLDER/recipes/BACKEND-METHOD-SETTING.yaml``
- ``FOLDER/repeat-1/``: runs, as below any `--runs-dir`
- ``FOLDER/bench.json``
"""

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from bakeoff.backends import BACKENDS
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import write_json_atomic, write_text_atomic
from bakeoff.bench.machine import describe_machine, has_gpu, noise_notes
from bakeoff.bench.ratios import ratios
from bakeoff.bench.settings import Chosen, Surroundings, choose
from bakeoff.bench.work import why_not_the_same, work_of
from bakeoff.envs.resolve import resolve
from bakeoff.planning.expand import expand
from bakeoff.planning.problems import InvalidRecipe
from bakeoff.recipes import RecipeTree, make_recipe
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy, as_user_error, prepare_study
from bakeoff.runner.study import StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import Bench, BenchCell, Setting
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan, run_name
from bakeoff.schema.recipe import Method
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store

RESULT = "bench.json"
_LEARNING_RATES: dict[Method, float] = {"lora": 2e-4, "full": 2e-5}

Cell = TypeVar("Cell")
Observe = Callable[[Plan], AbstractContextManager[Observer]]


@dataclass(frozen=True, kw_only=True)
class TrainBench:
    """What is benchmarked."""

    backends: tuple[str, ...]
    """The first is the one that the others are held against."""

    settings: tuple[Setting, ...]
    methods: tuple[Method, ...]
    model: str
    data: str
    num_rows: int
    repeats: int
    device: str = "auto"
    overrides: tuple[str, ...] = ()
    """Keys of the recipe, the same for every cell."""


@dataclass
class _Cell:
    backend: str
    setting: Setting
    method: Method
    chosen: Chosen
    study: PreparedStudy
    records: list[Record | str] = field(default_factory=list)
    """One a repeat; words where there is none."""


class TrainBenchRunner:
    """One bench in one folder."""

    def __init__(
        self, bench: TrainBench, folder: Path, workspace: Workspace, observe: Observe
    ) -> None:
        self._bench = bench
        self._folder = folder
        self._workspace = workspace
        self._observe = observe
        self._notes: list[str] = []

    def run(self, say: Callable[[str], None]) -> Bench:
        """Do what is not done yet; a cell that fails is said to have failed.

        Args:
            say: Told which cell of which repeat begins.

        Raises:
            UserError: A mistake in what is asked, or the model or the data cannot be had.
        """
        cells = list(self._cells())
        say(f"kept in {self._folder}; --runs-dir with that folder goes on from what is there")
        for repeat, cell in in_turn(cells, self._bench.repeats):
            name = f"{cell.backend}, {cell.method}, {cell.setting}: {cell.chosen.why}"
            say(f"repeat {repeat} of {self._bench.repeats}: {name}")
            cell.records.append(self._train(cell, repeat))
        result = self._result(cells)
        write_json_atomic(self._folder / RESULT, result.model_dump(mode="json"))
        return result

    def _cells(self) -> Iterator[_Cell]:
        on_gpu = self._bench.device == "cuda" or (
            self._bench.device == "auto" and has_gpu(self._workspace.environment)
        )
        around = {
            name: Surroundings(on_gpu=on_gpu, packages=self._packages(name))
            for name in self._bench.backends
        }
        for method in self._bench.methods:
            for setting in self._bench.settings:
                for backend in self._bench.backends:
                    chosen = choose(backend, setting, around[backend])
                    if chosen is None:
                        self._notes.append(f"`{backend}` has no setting `{setting}`: left out")
                        continue
                    study = self._prepared(backend, method, setting, chosen)
                    yield _Cell(backend, setting, method, chosen, study)

    def _packages(self, backend: str) -> tuple[str, ...]:
        name = BACKENDS.get(backend)().environment
        if name is None:
            return ()
        try:
            found = resolve(name, None, cache_dir=self._workspace.cache_dir, base_dir=Path())
        except UserError:
            return ()  # not installed yet: the study installs it, from the lock
        return tuple(found.versions)

    def _prepared(
        self, backend: str, method: Method, setting: Setting, chosen: Chosen
    ) -> PreparedStudy:
        name = f"{backend}-{method}-{setting}"
        path = self._folder / "recipes" / f"{name}.yaml"
        tree = _recipe(self._bench, name, backend, method, chosen)
        _require_one_cell(tree)
        write_text_atomic(path, _recipe_text(tree, f"{backend}, {chosen.why}"))
        study = prepare_study(path, (), cache_dir=self._workspace.cache_dir)
        steps = tuple(step for step in study.plan.steps if not isinstance(step, EvalPlan))
        return replace(study, plan=study.plan.model_copy(update={"steps": steps}))

    def _train(self, cell: _Cell, repeat: int) -> Record | str:
        workspace = replace(self._workspace, runs_dir=self._folder / f"repeat-{repeat}")
        _forget_unfinished(cell.study.plan, Store(workspace.runs_dir))
        with self._observe(cell.study.plan) as observer:
            try:
                outcome = StudyRunner(cell.study, workspace, observer).run()
            except RunError as error:
                return str(error)
        if not outcome.records:
            return next(iter(outcome.skipped.values()), "it was not run")
        record = outcome.records[0]
        return record if record.status == "finished" else record.error or record.status

    def _result(self, cells: Sequence[_Cell]) -> Bench:
        made = [_bench_cell(cell) for cell in cells]
        records = [r for cell in cells for r in cell.records if isinstance(r, Record)]
        notes = [*self._notes, *_loss_notes(made), *noise_notes(records)]
        return Bench(
            bench="train",
            work=work_of(made, model=self._bench.model, data=self._bench.data),
            machine=describe_machine(records),
            cells=tuple(made),
            ratios=ratios(made, why_not_the_same),
            notes=tuple(dict.fromkeys(notes)),
        )


def _forget_unfinished(plan: Plan, store: Store) -> None:
    """A training that was interrupted starts anew: two halves say nothing of its start and peak."""
    for step in plan.steps:
        if isinstance(step, TrainPlan):
            record = store.record_of(step)
            if record is None or record.status != "finished":
                shutil.rmtree(store.run_dir(run_name(step)), ignore_errors=True)


def in_turn(cells: Sequence[Cell], repeats: int) -> Iterator[tuple[int, Cell]]:
    """A B A B, not A A B B: what changes on the machine meanwhile meets all alike."""
    for repeat in range(1, repeats + 1):
        for cell in cells:
            yield repeat, cell


def _recipe(
    bench: TrainBench, name: str, backend: str, method: Method, chosen: Chosen
) -> RecipeTree:
    values: dict[str, Any] = {
        "name": name,
        "model": {},
        "data": {"num_train": bench.num_rows, "num_validation": 0},
        "backend": backend,
        "method": method,
        "device": bench.device,
        "train": {
            "learning_rate": _LEARNING_RATES.get(method, 1e-4),
            "num_epochs": 1,
            "batch_size": 4,
            "gradient_accumulation": 2,
            "precision": "bf16",
            "save_every": 0,
        },
        "lora": {"rank": 8, "alpha": 16.0},
        "evaluate": {"base": False, "limit": 1},
    }
    sources = (f"model.source={bench.model}", f"data.source={bench.data}")
    tree = make_recipe(values, (*sources, *bench.overrides))
    tree.values["train"].update(chosen.train)
    if chosen.extra:
        given = tree.values.get("extra", {}).get(backend, {})
        tree.values["extra"] = {backend: {**given, **chosen.extra}}
    return tree


def _require_one_cell(tree: RecipeTree) -> None:
    """Before it is written: a mistake in `--set` is told as one.

    Raises:
        UserError: The recipe is wrong, or spans a matrix.
    """
    try:
        matrix = expand(tree.values)
    except InvalidRecipe as error:
        raise as_user_error(tree, error.problems) from error
    if len(matrix.cells) > 1:
        varying = ", ".join(f"`{name}`" for name in matrix.varying)
        raise UserError(
            f"{varying}: expected one value, for a bench measures the same work everywhere",
            hint="run a bench for each value, or a study (`bakeoff run`) over all of them",
        )


def _recipe_text(tree: RecipeTree, heading: str) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to import

    text = StringIO()
    YAML().dump(tree.values, text)
    return f"# {heading}\n{text.getvalue()}"


def _bench_cell(cell: _Cell) -> BenchCell:
    found = [record if isinstance(record, Record) else None for record in cell.records]
    measured = [record.measurement if record is not None else None for record in found]
    peaks = [m.peak_host_bytes if m is not None else None for m in measured]
    starts = [m.start_host_bytes if m is not None else None for m in measured]
    device = [m.peak_device_allocated_bytes if m is not None else None for m in measured]
    return BenchCell(
        backend=cell.backend,
        setting=cell.setting,
        method=cell.method,
        seconds=tuple(m.train_seconds if m is not None else None for m in measured),
        start_seconds=tuple(m.setup_seconds if m is not None else None for m in measured),
        peak_host_bytes=tuple(peaks),
        added_host_bytes=tuple(
            peak - start if peak is not None and start is not None else None
            for peak, start in zip(peaks, starts, strict=True)
        ),
        peak_device_bytes=tuple(device) if any(device) else (),
        train_loss=tuple(_mean_loss(record) for record in found),
        digest=_same(r.effective.get("batch_digest") for r in found if r is not None),
        facts=_facts([record for record in found if record is not None]),
        settings=cell.chosen.values,
        why=cell.chosen.why,
        runs=tuple(
            f"repeat-{index}/{record.run_id}" if record is not None else None
            for index, record in enumerate(found, start=1)
        ),
        failures=tuple(record for record in cell.records if isinstance(record, str)),
    )


_FACTS = (
    "num_steps", "rows_per_step", "batch_size", "learning_rate", "device", "weight_dtype",
    "trained_dtype", "optimizer_dtype", "autocast", "num_trained_parameters", "num_torch_threads",
    "attention", "gradient_checkpointing", "optimizer",
)  # fmt: skip


def _facts(records: Sequence[Record]) -> dict[str, Any]:
    """What all repeats have alike."""
    if not records:
        return {}
    facts = {name: _same(r.effective.get(name) for r in records) for name in _FACTS}
    for name in ("num_examples", "num_train_tokens", "num_label_tokens"):
        facts[name] = _same(getattr(r.data, name) if r.data is not None else None for r in records)
    facts["packages"] = records[0].provenance.packages
    return facts


def _same(values: Iterator[Any] | Sequence[Any]) -> Any:
    found = list(values)
    return found[0] if found and all(value == found[0] for value in found) else None


def _mean_loss(record: Record | None) -> float | None:
    if record is None:
        return None
    losses = [p.loss for p in record.losses if p.split == "train" and p.loss is not None]
    return fmean(losses) if losses else None


_NOTED_LOSS_SHARE = 0.01


def _loss_notes(cells: Sequence[BenchCell]) -> Iterator[str]:
    """Whoever learns otherwise from the same rows may be fast by doing something else."""
    for method in dict.fromkeys(cell.method for cell in cells):
        losses = [loss for c in cells if c.method == method for loss in c.train_loss if loss]
        if losses and not math.isclose(max(losses), min(losses), rel_tol=_NOTED_LOSS_SHARE):
            yield (
                f"{method}: mean train losses lie between {min(losses):.4f} and "
                f"{max(losses):.4f}; `bakeoff parity` says what differs"
            )
