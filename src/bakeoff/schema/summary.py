"""Runs and studies in short: what a list shows, read from the index alone."""

from typing import Any, Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.events import Status
from bakeoff.schema.figures import headline, peak_memory
from bakeoff.schema.plan import AxisValue, EvalPlan, ModelStep, TrainPlan, run_name
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study


class RunFigures(Document):
    """A run's own facts, without its curves and texts."""

    model: str
    seconds: float | None = None
    """Wall time of the whole process."""

    train_seconds: float | None = None
    tokens_per_second: float | None = None
    peak_bytes: int | None = None
    loss: float | None = None
    """Of the last step."""

    score: float | None = None
    """By the headline filter."""

    stderr: float | None = None
    num_samples: int | None = None
    samples_path: str | None = None
    error: str | None = None
    """Its first line."""


class RunSummary(Document):
    """A run of a study, done or not."""

    run_id: str
    kind: Literal["train", "eval"]
    status: Status | None
    """None: planned, without a record."""

    cell: dict[str, AxisValue]
    task: str | None
    num_fewshot: int | None
    turn: int = 1
    parent_run_id: str | None = None
    ended_at: str | None = None
    figures: RunFigures | None = None


class StudySummary(Document):
    name: str
    started_at: str
    num_runs: int
    num_finished: int
    num_failed: int
    model: str
    num_trainings: int
    num_evaluations: int
    best_score: float | None = None
    """The highest headline score of a trained model; None where none was scored."""

    base_score: float | None = None
    """The highest of an untouched model."""

    @property
    def num_left(self) -> int:
        return self.num_runs - self.num_finished - self.num_failed


class StudyFacts(Document):
    """What the index keeps of a study."""

    name: str
    started_at: str
    axes: tuple[str, ...] = ()
    model: str = ""


class Page(Document):
    """Some rows of a list, and how many there are in all."""

    rows: tuple[Any, ...] = Field(default=())
    total: int
    page: int
    """Counted from 1."""

    size: int

    @property
    def num_pages(self) -> int:
        return max(1, -(-self.total // self.size))


def facts_of(study: Study) -> StudyFacts:
    models = [step.model.title for step in study.plan.steps if isinstance(step, ModelStep)]
    return StudyFacts(
        name=study.name,
        started_at=study.started_at,
        axes=study.plan.axes,
        model=", ".join(dict.fromkeys(models)),
    )


def planned(step: TrainPlan | EvalPlan, by_id: dict[str, TrainPlan]) -> RunSummary:
    """A step of a plan as a run that is still to do.

    Args:
        step: of the plan.
        by_id: the plan's trainings.
    """
    trained = by_id.get(step.train_id or "") if isinstance(step, EvalPlan) else None
    return RunSummary(
        run_id=run_name(step),
        kind=step.kind,
        status=None,
        cell=step.axes,
        task=step.task if isinstance(step, EvalPlan) else None,
        num_fewshot=step.num_fewshot if isinstance(step, EvalPlan) else None,
        turn=step.turn if isinstance(step, TrainPlan) else 1,
        parent_run_id=run_name(trained) if trained is not None else None,
    )


def figures_of(record: Record) -> RunFigures:
    """In short."""
    measured = record.measurement
    losses = [point.loss for point in record.losses if point.split == "train"]
    score = headline(record.scores) if record.scores else None
    return RunFigures(
        model=record.provenance.model_source,
        seconds=measured.wall_seconds if measured else None,
        train_seconds=measured.train_seconds if measured else None,
        tokens_per_second=measured.tokens_per_second if measured else None,
        peak_bytes=peak_memory(measured)[0],
        loss=losses[-1] if losses else None,
        score=score.value if score else None,
        stderr=score.stderr if score else None,
        num_samples=score.num_samples if score else None,
        samples_path=score.samples_path if score else None,
        error=record.error.strip().partition("\n")[0][:300] if record.error else None,
    )


def summary_of(record: Record) -> RunSummary:
    """A run that has a record."""
    score = record.scores[0] if record.scores else None
    asked = record.effective.get("asked", {})
    return RunSummary(
        run_id=record.run_id,
        kind=record.kind,
        status=record.status,
        cell=record.cell,
        task=score.task if score else asked.get("task"),
        num_fewshot=score.num_fewshot if score else asked.get("num_fewshot"),
        turn=record.turn,
        parent_run_id=record.parent_run_id,
        ended_at=record.provenance.ended_at,
        figures=figures_of(record),
    )
