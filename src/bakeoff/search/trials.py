"""The trials of a search: asked for, run by the ordinary runner, told, and counted."""

import math
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bakeoff.base.errors import RunError
from bakeoff.runner.cluster_part import RunPart
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.study import StudyOutcome
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan, run_name
from bakeoff.schema.record import Record
from bakeoff.schema.search import Trial, TrialStatus, Values
from bakeoff.search.objectives import TrialRecords, value_of
from bakeoff.search.prepare import PreparedSearch
from bakeoff.search.proposals import FIRST_TRIALS, quiet
from bakeoff.search.space import suggest
from bakeoff.search.watch import TrialWatch

if TYPE_CHECKING:
    import optuna

Observe = Callable[[Plan, str], AbstractContextManager[Observer]]
"""An observer for the plan of one trial, with what to call it."""

_TRIAL = "bakeoff"
"""User attribute that holds our account of a trial, as JSON."""

_VALUES = "values"


@dataclass(frozen=True)
class Account:
    """What the trials took, of runs that were not found finished."""

    runs: int
    tokens: int
    hours: float
    cost: float | None


class Trials:
    """Asks for settings and runs them; safe to use from several threads."""

    def __init__(
        self,
        search: PreparedSearch,
        proposals: "optuna.Study",
        run_part: RunPart,
        observe: Observe,
        note_plan: Callable[[PreparedStudy], None],
    ) -> None:
        self._search = search
        self._proposals = proposals
        self._run_part = run_part
        self._observe = observe
        self._note_plan = note_plan
        self._lock = threading.RLock()
        self.stopping = threading.Event()
        """Set: what runs is to be ended, and nothing further begins."""

    def why_stopped(self) -> str | None:
        return "the search was stopped" if self.stopping.is_set() else None

    def recover(self) -> int:
        """Queue again what a killed search was doing; the number of such trials."""
        from optuna.trial import TrialState  # noqa: PLC0415 - slow to import

        with self._lock, quiet():
            lost = self._proposals.get_trials(states=(TrialState.RUNNING,))
            for trial in lost:
                self._proposals.tell(trial.number, state=TrialState.FAIL)
                self._proposals.enqueue_trial(trial.params)
        return len(lost)

    def num_waiting(self) -> int:
        from optuna.trial import TrialState  # noqa: PLC0415 - slow to import

        with self._lock, quiet():
            return len(self._proposals.get_trials(states=(TrialState.WAITING,)))

    def num_begun(self) -> int:
        """Done and going on; without what was lost in a kill."""
        from optuna.trial import TrialState  # noqa: PLC0415 - slow to import

        with self._lock, quiet():
            going = len(self._proposals.get_trials(states=(TrialState.RUNNING,)))
        return going + len(self.done())

    def done(self) -> list[Trial]:
        """Every trial that ended, in order."""
        with self._lock, quiet():
            return [
                Trial.model_validate_json(trial.user_attrs[_TRIAL])
                for trial in self._proposals.get_trials(deepcopy=False)
                if _TRIAL in trial.user_attrs
            ]

    def values_of_all(self) -> list[Values]:
        """Settings of every trial that ever began."""
        with self._lock, quiet():
            return [
                trial.user_attrs[_VALUES]
                for trial in self._proposals.get_trials(deepcopy=False)
                if _VALUES in trial.user_attrs
            ]

    def account(self) -> Account:
        paid = [trial for trial in self.done() if not trial.reused]
        costs = [trial.cost for trial in paid if trial.cost is not None]
        return Account(
            runs=self.num_begun(),
            tokens=sum(trial.tokens or 0 for trial in paid),
            hours=sum(trial.seconds or 0.0 for trial in paid) / 3600,
            cost=math.fsum(costs) if costs else None,
        )

    def begin(self) -> tuple["optuna.Trial", Values]:
        """The next setting to try."""
        with self._lock, quiet():
            trial = self._proposals.ask()
            values = suggest(trial, self._search.space, self._search.tree.values)
            trial.set_user_attr(_VALUES, values)
        return trial, values

    def run(self, trial: "optuna.Trial", values: Values) -> Trial:
        """Do it, and tell what came of it."""
        study = self._search.study_of(values)
        with self._lock:
            self._note_plan(study)
        with self._observe(study.plan, f"trial {trial.number}") as observer:
            prunes = self._search.spec.pruning != "none" and len(self._search.spec.objective) == 1
            watch = TrialWatch(observer, partial(self._should_prune, trial) if prunes else None)
            outcome = self._do(study, watch)
        told = self._account_of(trial.number, values, study, outcome, watch)
        self._tell(trial, told)
        return told

    def _do(self, study: PreparedStudy, watch: TrialWatch) -> StudyOutcome:
        def why_end(step: TrainPlan | EvalPlan) -> str | None:
            return self.why_stopped() or watch.why_end(step)

        return self._run_part(study, watch, why_end)

    def _should_prune(self, trial: "optuna.Trial", percent: int, loss: float) -> bool:
        with self._lock, quiet():
            trial.report(loss, percent)
            falls_behind = trial.should_prune()  # always asked: it notes the rung that was reached
            whole = [t for t in self.done() if t.status in ("finished", "diverged")]
        return falls_behind and len(whole) >= FIRST_TRIALS

    def _account_of(
        self,
        number: int,
        values: Values,
        study: PreparedStudy,
        outcome: StudyOutcome,
        watch: TrialWatch,
    ) -> Trial:
        if self.stopping.is_set():
            raise RunError("the search was stopped", log_tail="")
        records = records_of(outcome.records)
        objectives: dict[str, float | None] = {
            name: value_of(name, records) for name in self._search.spec.objective
        }
        return Trial(
            number=number,
            values=values,
            status=_status(records, objectives, pruned=watch.is_pruned),
            objectives=objectives,
            run_ids=tuple(run_name(step) for step in study.plan.runs),
            num_steps=watch.num_steps or _measured(records.training, "num_steps"),
            steps_done=_steps_done(records.training),
            step_seconds=_measured(records.training, "step_seconds_median"),
            seconds=_total(records, "wall_seconds"),
            tokens=_measured(records.training, "num_tokens"),
            cost=_total(records, "cost"),
            reused=outcome.num_run == 0,
            curve=tuple((p, loss) for p, loss in watch.curve if math.isfinite(loss)),
            error=_error(outcome, records),
        )

    def _tell(self, trial: "optuna.Trial", told: Trial) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415 - slow to import

        with self._lock, quiet():
            trial.set_user_attr(_TRIAL, told.model_dump_json())
            if told.status == "failed":
                self._proposals.tell(trial, state=TrialState.FAIL)
            elif told.status == "pruned":
                self._proposals.tell(trial, state=TrialState.PRUNED)
            else:
                worst = {n: _worst(n) for n in told.objectives}
                values = [worst[n] if v is None else v for n, v in told.objectives.items()]
                self._proposals.tell(trial, values)


def records_of(records: list[Record]) -> TrialRecords:
    training = next((record for record in records if record.kind == "train"), None)
    evaluation = next((record for record in records if record.kind == "eval"), None)
    return TrialRecords(training, evaluation)


def _status(
    records: TrialRecords, objectives: dict[Any, float | None], *, pruned: bool
) -> TrialStatus:
    training = records.training
    if training is not None and training.status == "cancelled" and pruned:
        return "pruned"
    if any(record.status != "finished" for record in records.all) or training is None:
        return "failed"
    return "diverged" if None in objectives.values() else "finished"


def _error(outcome: StudyOutcome, records: TrialRecords) -> str | None:
    told = [record.error for record in records.all if record.error]
    return next(iter([*told, *outcome.skipped.values()]), None)


def _total(records: TrialRecords, name: str) -> float | None:
    found = [
        getattr(record.measurement, name)
        for record in records.all
        if record.measurement is not None
    ]
    known = [value for value in found if value is not None]
    return math.fsum(known) if known else None


def _measured(training: Record | None, name: str) -> Any:
    measured = training.measurement if training is not None else None
    return getattr(measured, name) if measured is not None else None


def _steps_done(training: Record | None) -> int | None:
    if training is None:
        return None
    return max((point.step for point in training.losses if point.split == "train"), default=0)


def _worst(objective: str) -> float:
    return 0.0 if objective == "exact_match" else math.inf
