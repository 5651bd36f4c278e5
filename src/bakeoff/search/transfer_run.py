"""The transfer experiment: the grid, its extension, the scoring of the choices.

Every training is an ordinary run of the study NAME-transfer: whatever was finished is reused, and
a killed experiment goes on. ``RUNS/studies/NAME-transfer/transfer.json`` holds the result.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from bakeoff.base.files import write_json_atomic
from bakeoff.compare.rate_curve import best_index, is_edge, mean_of_each
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.run_study import run_study
from bakeoff.runner.study import StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import AxisValue, Plan, Step, TrainPlan
from bakeoff.schema.record import Record
from bakeoff.schema.transfer import TransferResult
from bakeoff.search.objectives import loss_unless_diverged
from bakeoff.search.transfer_choices import Choices, choose
from bakeoff.search.transfer_grid import Grid
from bakeoff.search.transfer_plan import Transfer
from bakeoff.search.transfer_result import Scored, make_transfer_result
from bakeoff.store.runs import Store

RESULT = "transfer.json"

Observe = Callable[[Plan], AbstractContextManager[Observer]]


class TransferRunner:
    """One experiment in one workspace."""

    def __init__(
        self,
        transfer: Transfer,
        workspace: Workspace,
        observe: Observe,
        *,
        say: Callable[[str], None],
        extend: bool = False,
    ) -> None:
        """``extend``: add rates where the best one lies on the edge of a grid."""
        self._transfer = transfer
        self._workspace = workspace
        self._observe = observe
        self._say = say
        self._extend = extend
        self._store = Store(workspace.runs_dir)
        self._steps: dict[str, Step] = {}
        self._extended: list[str] = []

    def run(self) -> TransferResult:
        """Do whatever is not done yet, and judge.

        Raises:
            UserError: The model or the data cannot be had.
        """
        grid = self._run_grid()
        choices = choose(grid, self._transfer.spec)
        scored = self._score(grid, choices)
        result = make_transfer_result(self._transfer, grid, choices, scored, self._extended)
        folder = self._store.study_dir(self._transfer.study)
        write_json_atomic(folder / RESULT, result.model_dump(mode="json"))
        return result

    def _run_grid(self) -> Grid:
        grid = self._grid_of(self._run(self._transfer.grid()))
        for _ in range(self._transfer.spec.max_extensions if self._extend else 0):
            wider = self._wider(grid)
            if wider == dict(self._transfer.rates):
                break
            self._transfer = self._transfer.with_rates(wider)
            grid = self._grid_of(self._run(self._transfer.grid()))
        return grid

    def _grid_of(self, records: Sequence[tuple[TrainPlan, Record | None]]) -> Grid:
        return Grid.of(self._transfer, records)

    def _wider(self, grid: Grid) -> Mapping[str, Sequence[float]]:
        """The grids, with one more rate beyond each edge that holds the best one."""
        rates = {method: list(found) for method, found in self._transfer.rates.items()}
        for key, losses in grid.losses.items():
            means = mean_of_each([losses[rate] for rate in sorted(losses)])
            best = best_index(means)
            if best is None or not is_edge(means):
                continue
            known = rates[grid.methods[key]]
            factor = 2.0 ** (math.log2(known[-1] / known[0]) / (len(known) - 1))
            added = known[0] / factor if best == 0 else known[-1] * factor
            added = float(f"{min(added, 1.0):.3g}")
            if added not in known and sorted(losses)[best] in (known[0], known[-1]):
                self._say(f"{key[0]}: the best rate lies on the edge; {added:g} is tried as well")
                self._extended.append(f"{key[0]}: {added:g}")
                known.append(added)
                known.sort()
        return rates

    def _score(self, grid: Grid, choices: Choices | None) -> Scored:
        if choices is None or not self._transfer.spec.score_seeds:
            return Scored({}, ())
        seeds = ", ".join(map(str, self._transfer.spec.score_seeds))
        self._say(f"the chosen rates are scored with full fine-tuning and seeds {seeds}")
        context: dict[str, AxisValue] = dict(choices.context)
        done = self._run(self._transfer.scoring(list(choices.rates.values()), context))
        losses: dict[float, dict[int, float | None]] = {}
        for step, record in done:
            by_seed = losses.setdefault(step.train.learning_rate, {})
            by_seed[step.seed] = loss_unless_diverged(record)
        return Scored(losses, tuple(record for _, record in done if record is not None))

    def _run(self, study: PreparedStudy) -> list[tuple[TrainPlan, Record | None]]:
        with self._observe(study.plan) as observer:
            run_study(study, self._workspace, observer)
        for step in study.plan.steps:
            self._steps.setdefault(f"{step.kind}-{step.id}", step)
        whole = study.plan.model_copy(update={"steps": tuple(self._steps.values())})
        with self._observe(whole) as observer:
            StudyRunner(replace(study, plan=whole), self._workspace, observer).save_study()
        trainings = [step for step in study.plan.steps if isinstance(step, TrainPlan)]
        return [(step, self._store.record_of(step)) for step in trainings]
