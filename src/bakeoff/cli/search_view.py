"""A search on the terminal: a line for each trial, a bar for each that runs."""

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bakeoff.compare import numbers
from bakeoff.compare.search_words import TITLES, show_score, show_values
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.step_names import PHASES
from bakeoff.schema.events import Event, PhaseEvent, StepEvent
from bakeoff.schema.plan import Plan, Step, TrainPlan
from bakeoff.schema.recipe_search import SearchSpec
from bakeoff.schema.record import Record
from bakeoff.schema.search import SearchResult, Trial

_MARKS = {"finished": ("✓ ", "green"), "pruned": ("✂ ", "cyan"), "diverged": ("↗ ", "yellow")}


class SearchView:
    """Safe to use from the threads of several workers."""

    def __init__(self, console: Console, spec: SearchSpec, num_planned: int | None) -> None:
        self._console = console
        self._spec = spec
        self._num_planned = num_planned
        self._lock = threading.Lock()
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )

    def __enter__(self) -> "SearchView":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._line(Text.assemble(("note: ", "cyan"), text))

    @contextlib.contextmanager
    def observe(self, plan: Plan, name: str) -> Iterator[Observer]:
        task = self._progress.add_task(name, total=None)
        try:
            yield _OneTrial(self, self._progress, task, name)
        finally:
            self._progress.remove_task(task)

    def trial_ended(self, trial: Trial, num_done: int, is_best: bool) -> None:
        of_all = f"/{self._num_planned}" if self._num_planned is not None else ""
        mark, colour = _MARKS.get(trial.status, ("✗ ", "red"))
        told = [f"{TITLES[n]} {show_score(n, trial.objectives[n])}" for n in self._spec.objective]
        if trial.status == "pruned":
            told = [_pruned(trial)]
        elif trial.status != "finished":
            told = [(trial.error or trial.status).splitlines()[0]]
        elif is_best:
            told.append("best so far")
        seconds = "found finished" if trial.reused else numbers.seconds(trial.seconds)
        self._line(
            Text.assemble(
                (mark, colour),
                f"{num_done}{of_all}  trial {trial.number}: {show_values(trial.values)}  ",
                (", ".join([*told, seconds]), "dim"),
            )
        )

    def _line(self, text: Text) -> None:
        with self._lock:
            self._progress.console.print(text, soft_wrap=True)

    def line(self, text: str) -> None:
        """Something that went wrong in a run."""
        self._line(Text(text, "yellow"))


class _OneTrial:
    """Moves the bar of one trial; its runs are too many for a line each."""

    def __init__(self, view: SearchView, progress: Progress, task: TaskID, name: str) -> None:
        self._view, self._progress, self._task, self._name = view, progress, task, name

    def step_started(self, step: Step, position: Position) -> None:
        what = "training" if isinstance(step, TrainPlan) else step.kind
        self._progress.update(self._task, description=f"{self._name}: {what}", total=None)

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        self._progress.update(self._task, completed=done, total=total or None)

    def event(self, step: Step, event: Event) -> None:
        if isinstance(event, PhaseEvent):
            self._progress.update(self._task, description=f"{self._name}: {PHASES[event.phase]}")
        elif isinstance(event, StepEvent):
            self._progress.update(self._task, completed=event.step, total=event.num_steps)

    def step_finished(self, step: Step, record: Record | None, *, reused: bool) -> None:
        if record is not None and record.status not in ("finished", "cancelled"):
            reason = (record.error or "").splitlines()[:1]
            self._view.line(f"  {record.run_id}: {record.status} {' '.join(reason)}")

    def step_skipped(self, step: Step, reason: str) -> None:
        self._view.line(f"  {self._name}: skipped, {reason}")

    def note(self, text: str) -> None:
        self._view.say(text)


def search_summary(result: SearchResult) -> Group:
    """The candidates, or the best trials where nothing was confirmed, and what it cost."""
    objective = result.objective[0]
    table = Table(box=None, pad_edge=False)
    if result.candidates:
        headers = ("trial", "settings", TITLES[objective], "± seeds", "p (Holm)", "training", "")
        for header in headers:
            table.add_column(header, justify="left" if header in ("settings", "") else "right")
        for each in result.candidates:
            is_recommended = each.trial == result.recommended_trial
            table.add_row(
                str(each.trial),
                show_values(each.values),
                show_score(objective, each.mean),
                numbers.MISSING if each.spread is None else f"{each.spread:.2g}",
                numbers.p_value(each.p_adjusted),
                numbers.seconds(each.train_seconds),
                f"{each.standing}{', recommended' if is_recommended else ''}",
                style="bold" if is_recommended else "",
            )
    else:
        for header in ("trial", "settings", *(TITLES[name] for name in result.objective)):
            table.add_column(header, justify="left" if header == "settings" else "right")
        shown = {trial.number: trial for trial in result.trials}
        for number in result.front:
            trial = shown[number]
            told = [show_score(name, trial.objectives[name]) for name in result.objective]
            table.add_row(str(number), show_values(trial.values), *told)
    lines = [result.sentence, *_spending(result), *(f"note: {note}" for note in result.notes)]
    return Group(Text(""), table, Text(""), *(Text(line) for line in lines))


def _spending(result: SearchResult) -> Iterator[str]:
    saving = result.saving
    yield f"{result.spent['runs']} trials; {result.ended_because}"
    if saving.num_pruned and saving.steps_of_all:
        share = saving.steps_left_out / saving.steps_of_all
        time = numbers.seconds(saving.seconds_left_out)
        yield (
            f"{saving.num_pruned} were ended early: {saving.steps_left_out} of "
            f"{saving.steps_of_all} steps left out ({numbers.percent(share)}), about {time}"
        )
    found = result.agreement
    if found is not None:
        tau = numbers.MISSING if found.kendall is None else f"{found.kendall:.2f}"
        yield (
            f"the proxy orders {found.num_settings} settings as the training that is meant does "
            f"with Kendall's tau {tau} ({numbers.p_phrase(found.p_value)})"
        )


def _pruned(trial: Trial) -> str:
    if trial.num_steps and trial.steps_done is not None:
        return f"ended early after {trial.steps_done} of {trial.num_steps} steps"
    return "ended early"
