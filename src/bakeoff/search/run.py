"""A whole search: trials until the budget is spent, the best of them again, what came out.

- ``RUNS/studies/NAME-search/search.sqlite``: Optuna's database, from which a killed search goes on
- ``RUNS/studies/NAME-search/search.json``: the result
- the runs themselves lie where all runs lie, and are found again by whoever asks for the same
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from bakeoff.base.errors import RunError
from bakeoff.base.files import write_json_atomic
from bakeoff.base.locks import locked
from bakeoff.runner.cluster_part import RunPart, part_runner
from bakeoff.runner.observer import Silent
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.process_run import lock_of
from bakeoff.runner.study import StudyRunner
from bakeoff.runner.track.reporters import Reporters
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import Plan, Step
from bakeoff.schema.search import SearchResult, Trial
from bakeoff.search.confirm import Confirmed, chosen_again, judge, ranked
from bakeoff.search.objectives import TrialRecords
from bakeoff.search.prepare import PreparedSearch
from bakeoff.search.proposals import close_proposals, open_proposals, quiet
from bakeoff.search.result import make_result
from bakeoff.search.space import as_parameters, grid
from bakeoff.search.trials import Observe, Trials, records_of
from bakeoff.store.runs import Store

RESULT = "search.json"
DATABASE = "search.sqlite"

T = TypeVar("T")


class SearchRunner:
    """One search in one workspace."""

    def __init__(
        self,
        search: PreparedSearch,
        workspace: Workspace,
        observe: Observe,
        *,
        say: Callable[[str], None],
        on_trial: Callable[[Trial, int, bool], None],
    ) -> None:
        """What a search needs.

        Args:
            search: What is searched.
            workspace: Where.
            observe: Makes an observer for the runs of each trial.
            say: Told what goes on beside the trials.
            on_trial: Told each trial that ended, how many are done, and whether it is the best.
        """
        self._search = search
        self._workspace = workspace
        self._observe = observe
        self._say = say
        self._on_trial = on_trial
        self._store = Store(workspace.runs_dir)
        self._steps: dict[str, Step] = {}
        self._choosing = threading.Lock()
        """Held from looking at the budget until the next trial has begun."""

    def run(self) -> SearchResult:
        """Go on from wherever an earlier call came to.

        Raises:
            UserError: The model or the data cannot be had.
        """
        folder = self._store.study_dir(self._search.study)
        with locked(
            lock_of(folder),
            lambda: self._say(f"another bakeoff is at work on `{self._search.study}`; waiting"),
        ):
            name = self._search.id
            proposals = open_proposals(folder / DATABASE, name, self._search.spec)
            try:
                with part_runner(self._workspace) as run_part, self._reporters():
                    result = self._search_with(proposals, run_part)
            finally:
                with quiet():
                    close_proposals(proposals)
            write_json_atomic(folder / RESULT, result.model_dump(mode="json"))
        return result

    def _reporters(self) -> Reporters:
        return Reporters(self._search.study, self._workspace, Silent(), say=self._say)

    def _search_with(self, proposals: Any, run_part: RunPart) -> SearchResult:
        trials = Trials(self._search, proposals, run_part, self._observe, self._note_plan)
        for values in trials.values_of_all():
            self._note_steps(self._search.study_of(values).plan)
        lost = trials.recover()
        begun = trials.num_begun()
        if begun or lost:
            again = f"; {lost} that were interrupted are tried again" if lost else ""
            self._say(f"{begun} trials were done before{again}")
        self._queue(proposals)
        ended_because = self._work(trials)
        done = trials.done()
        confirmed = self._confirm(trials, run_part)
        return make_result(
            self._search, done, confirmed, trials.account(), proposals, ended_because
        )

    def _queue(self, proposals: Any) -> None:
        """The recipe's own setting comes first, to be beaten; a grid is queued as a whole."""
        space = self._search.space
        if self._search.spec.method == "grid":
            queue = list(grid(space, self._search.tree.values))
        else:
            queue = [self._search.own_values()]
        with quiet():
            for values in queue:
                stored = as_parameters(values, space)
                if stored is not None:
                    proposals.enqueue_trial(stored, skip_if_exists=True)

    def _work(self, trials: Trials) -> str:
        """Trials, side by side as many as there are workers; why they ended."""
        workers = [partial(self._work_alone, trials)] * self._search.spec.workers
        return self._side_by_side(workers, trials)[0]

    def _side_by_side(self, tasks: Sequence[Callable[[], T]], trials: Trials) -> list[T]:
        """Whoever fails first has the reason; the others are stopped for it."""
        num_workers = self._search.spec.workers
        if num_workers == 1:
            return [task() for task in tasks]
        with ThreadPoolExecutor(num_workers) as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                trials.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _work_alone(self, trials: Trials) -> str:
        while True:
            with self._choosing:
                reason = self._why_stop(trials)
                if reason is not None:
                    return reason
                trial, values = trials.begin()
            told = trials.run(trial, values)
            done = trials.done()
            best = ranked(done, self._search.spec)
            self._on_trial(told, len(done), bool(best) and best[0].number == told.number)

    def _why_stop(self, trials: Trials) -> str | None:
        budget, account = self._search.spec.budget, trials.account()
        if trials.stopping.is_set():
            return "stopped"
        if self._search.spec.method == "grid" and not trials.num_waiting():
            return "the grid was tried as a whole"
        spent = {
            "runs": account.runs,
            "tokens": account.tokens,
            "hours": account.hours,
            "cost": account.cost or 0.0,
        }
        for name, value in spent.items():
            allowed = getattr(budget, name)
            if allowed is not None and value >= allowed:
                unit = self._search.recipe.measure.currency if name == "cost" else name
                return f"the budget of {allowed:g} {unit} was spent"
        return None

    def _confirm(self, trials: Trials, run_part: RunPart) -> list[Confirmed]:
        """Train the best again, seed by seed, so that what disturbs meets all alike."""
        spec = self._search.spec
        if len(spec.objective) > 1 or spec.confirm.top == 0:
            return []
        best = chosen_again(trials.done(), spec)
        jobs = [(trial, seed) for seed in spec.confirm.seeds for trial in best]
        if jobs:
            seeds = ", ".join(str(seed) for seed in spec.confirm.seeds)
            self._say(f"the {len(best)} best settings are trained again with seeds {seeds}")
        tasks = [partial(self._train_again, trial, seed, run_part, trials) for trial, seed in jobs]
        records = self._side_by_side(tasks, trials)
        found = {(t.number, seed): r for (t, seed), r in zip(jobs, records, strict=True)}
        return judge(
            [(t, [found[t.number, seed] for seed in spec.confirm.seeds]) for t in best], spec
        )

    def _train_again(
        self, trial: Trial, seed: int, run_part: RunPart, trials: Trials
    ) -> TrialRecords:
        study = self._search.study_of(trial.values, seed=seed, proxy=False)
        with self._choosing:
            self._note_plan(study)
        with self._observe(study.plan, f"trial {trial.number}, seed {seed}") as observer:
            outcome = run_part(study, observer, lambda _: trials.why_stopped())
        records = records_of(outcome.records)
        if records.training is None and outcome.skipped:
            raise RunError(next(iter(outcome.skipped.values())), log_tail="")
        return records

    def _note_plan(self, study: PreparedStudy) -> None:
        """The study of a search holds whatever was tried, for results and reports."""
        self._note_steps(study.plan)
        axes = (*self._search.space, "seed")
        whole = Plan(study=self._search.study, axes=axes, steps=tuple(self._steps.values()))
        noted = PreparedStudy(tree=self._search.tree, plan=whole, base_dir=self._search.base_dir)
        StudyRunner(noted, self._workspace, Silent()).save_study()

    def _note_steps(self, plan: Plan) -> None:
        for step in plan.steps:
            self._steps.setdefault(f"{step.kind}-{step.id}", step)
