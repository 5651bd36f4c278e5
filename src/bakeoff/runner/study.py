"""Runs a plan step by step; what is finished already is found and reused."""

from collections.abc import Set
from dataclasses import dataclass, field

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.locks import locked
from bakeoff.base.process import now_utc
from bakeoff.runner.execute import Executor, WhyEnd
from bakeoff.runner.fit_check import predict_here, why_refuse
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.process_run import lock_of
from bakeoff.runner.track.reporters import Reporters
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EnvironmentStep, EvalPlan, Step, TrainPlan, run_name
from bakeoff.schema.prediction import FittedRun
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store


@dataclass
class StudyOutcome:
    """What a study came to."""

    records: list[Record] = field(default_factory=list)
    """In the order of the plan; those of failed runs among them."""

    num_reused: int = 0
    num_run: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """Run id -> why it was not done."""

    @property
    def is_whole(self) -> bool:
        """Whether every run finished."""
        return not self.failed and not self.skipped

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.records if record.status != "finished"]


class StudyRunner:
    """One study in one workspace.

    Everything that is made is content-addressed and complete once its last file is there, so that
    a killed study goes on where it was, and a second runner of the same study waits for the first.
    """

    def __init__(
        self,
        study: PreparedStudy,
        workspace: Workspace,
        observer: Observer,
        *,
        force: bool = False,
        why_end: WhyEnd = lambda _: None,
    ) -> None:
        """How a study is done.

        Args:
            study: What is to be done.
            workspace: Where.
            observer: Told what happens.
            force: Also start trainings that cannot fit in the memory that is free.
            why_end: Cancels a run while it goes on.
        """
        self._force = force
        self._study = study
        self._plan = study.plan
        self._workspace = workspace
        self._reporters = Reporters(self._plan.study, workspace, observer)
        self._observer = observer = self._reporters.observer
        self._store = Store(workspace.runs_dir)
        self._executor = Executor(
            self._plan.study,
            study.base_dir,
            workspace=workspace,
            store=self._store,
            observer=observer,
            why_end=why_end,
        )
        planned = [step for step in self._plan.steps if isinstance(step, TrainPlan)]
        self._trainings = {step.id: step for step in (*study.trainings, *planned)}
        self._outcome = StudyOutcome()
        self._broken: dict[str, str] = {}
        """Environments by step id, and what is wrong with them."""

    def run(self) -> StudyOutcome:
        """Do every step; a run that fails is recorded, and the rest goes on.

        Raises:
            UserError: the model or the data cannot be had.
        """
        name = self._plan.study
        with locked(
            lock_of(self._store.study_dir(name)),
            lambda: self._observer.note(
                f"another bakeoff is running the study `{name}` in {self._workspace.runs_dir}; "
                "waiting for it to end"
            ),
        ):
            self.save_study()
            with self._reporters:
                return self.do_steps()

    def do_steps(self) -> StudyOutcome:
        """Do every step without taking the study for oneself, as a part of it.

        Raises:
            UserError: the model or the data cannot be had.
        """
        if self._workspace.temporary_dir is not None:
            self._workspace.temporary_dir.mkdir(exist_ok=True)
        needed = self._needed_sources()
        for index, step in enumerate(self._plan.steps, start=1):
            self._observer.step_started(step, Position(index, len(self._plan.steps)))
            self._do(step, needed)
        return self._outcome

    def _do(self, step: Step, needed: Set[str]) -> None:
        if isinstance(step, TrainPlan | EvalPlan):
            self._run_or_reuse(step)
            return
        if step.id in needed:
            try:
                self._executor.bring(step)
            except (UserError, RunError) as error:
                # Without model or data nothing can be done; without one framework the others can.
                if not isinstance(step, EnvironmentStep):
                    raise
                self._broken[step.id] = str(error)
                self._observer.step_skipped(step, _in_full(error))
                return
        self._observer.step_finished(step, None, reused=step.id not in needed)

    def _needed_sources(self) -> set[str]:
        """Of the runs that are still to be done: nothing else is worth fetching."""
        needed: set[str] = set()
        for step in self._plan.steps:
            if isinstance(step, TrainPlan | EvalPlan):
                record = self._store.record_of(step)
                if record is None or record.status != "finished":
                    needed.update({step.model_id, step.data_id or "", step.environment_id or ""})
        return needed

    def _run_or_reuse(self, step: TrainPlan | EvalPlan) -> None:
        run_id = run_name(step)
        reason = self._why_skip(step)
        if reason is not None:
            self._outcome.skipped[run_id] = reason
            self._observer.step_skipped(step, reason)
            return
        with locked(
            lock_of(self._store.run_dir(run_id)),
            lambda: self._observer.note(f"another bakeoff is doing {run_id}; waiting for it"),
        ):
            record = self._store.record_of(step)
            reused = record is not None and record.status == "finished"
            if record is None or not reused:
                self._store.forget_record(run_id)
                found = self._predict(step)
                refusal = None if self._force else why_refuse(found)
                if refusal is not None:
                    self._outcome.skipped[run_id] = refusal
                    self._observer.step_skipped(step, refusal)
                    return
                record = self._execute(step)
                if found is not None:
                    record = record.model_copy(update={"prediction": found.prediction})
                self._store.save_record(record)
        self._outcome.records.append(record)
        self._outcome.num_reused += reused
        self._outcome.num_run += not reused
        self._observer.step_finished(step, record, reused=reused)

    def _predict(self, step: TrainPlan | EvalPlan) -> FittedRun | None:
        if not isinstance(step, TrainPlan):
            return None
        return predict_here(step, self._study, self._workspace)

    def _execute(self, step: TrainPlan | EvalPlan) -> Record:
        if isinstance(step, TrainPlan):
            return self._executor.train(step)
        training = self._trainings[step.train_id] if step.train_id is not None else None
        return self._executor.evaluate(step, training)

    def _why_skip(self, step: TrainPlan | EvalPlan) -> str | None:
        broken = self._broken.get(step.environment_id or "")
        if broken is not None:
            return f"its environment cannot be used: {broken}"
        if isinstance(step, TrainPlan):
            needed, what = step.repeats, "the training that it repeats"
        else:
            needed, what = step.train_id, "its training"
        if needed is None:
            return None
        training = self._store.record_of(self._trainings[needed])
        if training is not None and training.status == "finished":
            return None
        return f"{what} did not finish"

    def save_study(self) -> None:
        """Note the plan and what it came from, for results and reports."""
        tree = self._study.tree
        self._store.save_study(
            Study(
                name=self._plan.study,
                plan=self._plan,
                recipe_path=str(tree.path),
                recipe_text=tree.text,
                overrides=tree.overrides,
                command_line=self._workspace.command_line,
                started_at=now_utc(),
            )
        )


def _in_full(error: UserError | RunError) -> str:
    """With what can be done about it, or the end of the log that says more."""
    more = error.log_tail if isinstance(error, RunError) else error.hint
    return f"{error}\n{more}" if more else str(error)
