"""The same training by several backends, run in turn, each in its default, best and lean setting.

Each cell is a recipe in the bench's folder and each repeat a folder of runs, so that a cell is
what `bakeoff run RECIPE --runs-dir REPEAT` does, and a bench that was killed finds what it
finished. Repeats go round by round (A B A B).

- ``FOLDER/recipes/BACKEND-METHOD-SETTING.yaml``
- ``FOLDER/repeat-1/``: runs, as below any `--runs-dir`
- ``FOLDER/bench.json``
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bakeoff.backends import BACKENDS
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import write_json_atomic, write_text_atomic
from bakeoff.bench.cells import TrainedCell, bench_cell, loss_notes
from bakeoff.bench.machine import describe_machine, has_gpu, noise_notes
from bakeoff.bench.ratios import ratios
from bakeoff.bench.recipe import TrainBench, cell_recipe, recipe_text, require_one_cell
from bakeoff.bench.settings import Chosen, Surroundings, choose
from bakeoff.bench.work import why_not_the_same, work_of
from bakeoff.envs.resolve import resolve
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy, prepare_study
from bakeoff.runner.study import StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import Bench, Setting
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan, run_name
from bakeoff.schema.recipe_train import Method
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store

RESULT = "bench.json"

Cell = TypeVar("Cell")
Observe = Callable[[Plan], AbstractContextManager[Observer]]


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
        if self._bench.warm_up:
            self._warm_up(cells, say)
        for repeat, cell in in_turn(cells, self._bench.repeats):
            name = f"{cell.backend}, {cell.method}, {cell.setting}: {cell.chosen.why}"
            say(f"repeat {repeat} of {self._bench.repeats}: {name}")
            cell.records.append(self._train(cell, repeat))
        result = self._result(cells)
        write_json_atomic(self._folder / RESULT, result.model_dump(mode="json"))
        return result

    def _cells(self) -> Iterator[TrainedCell]:
        chosen = self._chosen()
        for method in self._bench.methods:
            for setting, by_backend in chosen.items():
                for backend, choice in by_backend.items():
                    study = self._prepared(backend, method, setting, choice)
                    yield TrainedCell(backend, setting, method, choice, study)

    def _chosen(self) -> dict[Setting, dict[str, Chosen]]:
        """What each setting is for each backend; without those that not all of them have."""
        on_gpu = self._bench.device == "cuda" or (
            self._bench.device == "auto" and has_gpu(self._workspace.environment)
        )
        around = {
            name: Surroundings(on_gpu=on_gpu, packages=self._packages(name))
            for name in self._bench.backends
        }
        chosen: dict[Setting, dict[str, Chosen]] = {}
        for setting in self._bench.settings:
            found = {name: choose(name, setting, there) for name, there in around.items()}
            known = {name: choice for name, choice in found.items() if choice is not None}
            if len(known) == len(found):
                chosen[setting] = known
            else:
                without = ", ".join(name for name in found if name not in known)
                self._notes.append(f"`{setting}` is left out: {without} has no such setting")
        return chosen

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
        tree = cell_recipe(self._bench, name, backend, method, chosen)
        require_one_cell(tree)
        write_text_atomic(path, recipe_text(tree, f"{backend}, {chosen.why}"))
        return self._study(path, ())

    def _study(self, recipe: Path, overrides: Sequence[str]) -> PreparedStudy:
        """Without its evaluations."""
        study = prepare_study(recipe, overrides, cache_dir=self._workspace.cache_dir)
        steps = tuple(step for step in study.plan.steps if not isinstance(step, EvalPlan))
        return replace(study, plan=study.plan.model_copy(update={"steps": steps}))

    def _warm_up(self, cells: Sequence[TrainedCell], say: Callable[[str], None]) -> None:
        """One step by each backend that has anything to do; a failure shows in its cells."""
        for backend in self._bench.backends:
            cell = next((c for c in cells if c.backend == backend), None)
            if cell is not None and not self._is_done(cell):
                say(f"warm-up: one step by {backend}, which does not count")
                study = self._study(cell.study.tree.path, ("train.max_steps=1",))
                self._run(study, self._folder / "warm-up")

    def _is_done(self, cell: TrainedCell) -> bool:
        """Whether an earlier call finished it in every repeat."""
        folders = (self._folder / f"repeat-{n + 1}" for n in range(self._bench.repeats))
        return all(_is_finished(cell.study.plan, Store(folder)) for folder in folders)

    def _train(self, cell: TrainedCell, repeat: int) -> Record | str:
        return self._run(cell.study, self._folder / f"repeat-{repeat}")

    def _run(self, study: PreparedStudy, runs_dir: Path) -> Record | str:
        """The record of the study's one training, or why there is none."""
        workspace = replace(self._workspace, runs_dir=runs_dir)
        _forget_unfinished(study.plan, Store(runs_dir))
        with self._observe(study.plan) as observer:
            try:
                outcome = StudyRunner(study, workspace, observer).run()
            except RunError as error:
                return str(error)
        if not outcome.records:
            return next(iter(outcome.skipped.values()), "it was not run")
        record = outcome.records[0]
        return record if record.status == "finished" else record.error or record.status

    def _result(self, cells: Sequence[TrainedCell]) -> Bench:
        made = [bench_cell(cell) for cell in cells]
        records = [r for cell in cells for r in cell.records if isinstance(r, Record)]
        notes = [*self._notes, *loss_notes(made), *noise_notes(records)]
        return Bench(
            bench="train",
            work=work_of(made, model=self._bench.model, data=self._bench.data),
            machine=describe_machine(records),
            cells=tuple(made),
            ratios=ratios(made, why_not_the_same),
            notes=tuple(dict.fromkeys(notes)),
        )


def _training(plan: Plan) -> TrainPlan:
    return next(step for step in plan.steps if isinstance(step, TrainPlan))


def _is_finished(plan: Plan, store: Store) -> bool:
    record = store.record_of(_training(plan))
    return record is not None and record.status == "finished"


def _forget_unfinished(plan: Plan, store: Store) -> None:
    """A training that was interrupted starts anew: two halves say nothing of its start and peak."""
    if not _is_finished(plan, store):
        shutil.rmtree(store.run_dir(run_name(_training(plan))), ignore_errors=True)


def in_turn(cells: Sequence[Cell], repeats: int) -> Iterator[tuple[int, Cell]]:
    """A B A B, not A A B B: what changes on the machine meanwhile meets all alike."""
    for repeat in range(1, repeats + 1):
        for cell in cells:
            yield repeat, cell
