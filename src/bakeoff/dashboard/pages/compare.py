"""Any runs side by side: curves over each other, scores with their verdict, what differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from bakeoff.base.errors import UserError
from bakeoff.compare.curves import AXES_OF_CURVES, FIELDS_OF_CURVES, curve_of, curve_rows
from bakeoff.compare.methods import seed_siblings
from bakeoff.compare.names import name_runs, named_in_text
from bakeoff.compare.runs import compare_runs
from bakeoff.compare.tables import load_all_samples, study_rows
from bakeoff.compare.verdict import verdict
from bakeoff.dashboard import figures
from bakeoff.dashboard.memo import Memo
from bakeoff.dashboard.pages.asking import Shown, missing
from bakeoff.dashboard.render import View
from bakeoff.dashboard.settings import settings_diff
from bakeoff.report import charts
from bakeoff.report.curves import AXES, FIELDS, curve_spec, pareto_chart
from bakeoff.schema.comparison import ComparedRun, Comparison, Row
from bakeoff.schema.record import Record

router = APIRouter()
MOST_RUNS = 24
_MOST_SIBLINGS = 200


@dataclass(frozen=True)
class Compared:
    """A comparison, and with how many seeds each of its runs was trained."""

    comparison: Comparison
    num_seeds: dict[str, int]


_comparisons: Memo[Compared] = Memo(size=32)
Runs = Annotated[list[str], Query(alias="run", max_length=MOST_RUNS)]


@dataclass(frozen=True)
class Chosen:
    """The runs of a comparison, with what belongs to them."""

    runs: tuple[Record, ...]
    trainings: tuple[Record, ...]
    """Those named, and those behind the evaluations."""

    evals: tuple[Record, ...]
    """Those named, and those of the trainings that were named."""

    names: dict[str, str]


def chosen(view: View, run_ids: Sequence[str]) -> Chosen:
    """Raises HTTPException: 404 for a run that the store does not know."""
    store = view.site.store
    asked = list(dict.fromkeys(run_ids))
    runs = store.records_of(asked)
    known = {record.run_id for record in runs}
    for run_id in asked:
        if run_id not in known:
            raise missing(run_id)
    parents = [r.parent_run_id for r in runs if r.parent_run_id and r.parent_run_id not in known]
    named = [r.run_id for r in runs if r.kind == "train"]
    children = [found.run_id for found in store.lists.children_of(named)] if named else []
    more = store.records_of([i for i in dict.fromkeys([*parents, *children]) if i not in known])
    everything = [*runs, *more]
    return Chosen(
        runs=tuple(runs),
        trainings=tuple(r for r in everything if r.kind == "train" and r.repeat_of is None),
        evals=tuple(r for r in everything if r.kind == "eval" and r.status == "finished"),
        names=name_runs(everything),
    )


@router.get("/compare")
def compare(view: Shown, run: Runs = [], base: str = "") -> HTMLResponse:
    found = chosen(view, run)
    differing, num_same = settings_diff(found.trainings) if len(found.trainings) > 1 else ([], 0)
    return view.show(
        "compare.html",
        found=found,
        run_ids=[record.run_id for record in found.runs],
        asked=urlencode([("run", run_id) for run_id in run]),
        base=base,
        has_scores=any(record.scores for record in found.evals),
        differing=differing,
        num_same=num_same,
        axes=AXES,
        fields=FIELDS,
        has_costs=any(r.measurement for r in found.trainings),
    )


@router.get("/compare/scores")
def scores(view: Shown, run: Runs = [], base: str = "") -> HTMLResponse:
    """Asked for by the page once it stands: statistics take their time."""
    found = chosen(view, run)
    return view.show("compare_scores.html", found=found, groups=list(_groups(view, found, base)))


@dataclass(frozen=True)
class Group:
    """Evaluations of one task and number of examples, held against one of them."""

    task: str
    num_fewshot: int
    evals: tuple[Record, ...]
    comparison: Comparison | None
    lines: tuple[tuple[ComparedRun, str], ...]
    """Each difference with its verdict in words."""

    refusal: UserError | None


def _groups(view: View, found: Chosen, base: str) -> Any:
    by_task: dict[tuple[str, int], list[Record]] = {}
    for record in found.evals:
        if record.scores:
            score = record.scores[0]
            by_task.setdefault((score.task, score.num_fewshot), []).append(record)
    for (task, shots), evals in by_task.items():
        # The baseline: the one asked for, else the untouched model, else the first.
        evals.sort(key=lambda r: (r.run_id != base, r.parent_run_id is not None))
        yield _group(view, found, task, shots, evals)


def _group(view: View, found: Chosen, task: str, shots: int, evals: list[Record]) -> Group:
    compared, refusal = None, None
    if len(evals) > 1:
        lists = view.site.store.lists
        studies = _studies(view, found)
        key = (
            view.site.runs_dir,
            *(record.run_id for record in evals),
            *lists.stamps_of([record.run_id for record in (*found.trainings, *found.evals)]),
            *(lists.study_stamp(study) for study in studies),
        )
        try:
            compared = _comparisons.get(key, lambda: _compare(view, found, evals, studies))
        except UserError as error:
            refusal = error
    if compared is None:
        return Group(task, shots, tuple(evals), None, (), refusal)
    lines = tuple(_lines(view, compared))
    return Group(task, shots, tuple(evals), compared.comparison, lines, None)


def _studies(view: View, found: Chosen) -> list[str]:
    """Whose other seeds count: of the chosen runs, those that are not too large."""
    lists = view.site.store.lists
    studies = {study for record in found.runs for study in lists.studies_of(record.run_id)}
    return [s for s in sorted(studies) if lists.study_counts(s)[0] <= _MOST_SIBLINGS]


def _compare(
    view: View, found: Chosen, evals: Sequence[Record], studies: Sequence[str]
) -> Compared:
    store = view.site.store
    others = (record for study in studies for record in store.study_records(study))
    records = [*found.trainings, *found.evals, *others]
    known = list({record.run_id: record for record in reversed(records)}.values())
    return Compared(
        compare_runs(evals, runs_dir=view.site.runs_dir, known=known),
        {record.run_id: len(seed_siblings(record, known)) for record in evals},
    )


def _lines(view: View, compared: Compared) -> Any:
    """The headline first; the others explain it."""
    name = view.words.name
    comparison = compared.comparison
    baseline = name(named_in_text(comparison.baseline_name))
    for run in sorted(comparison.compared, key=lambda run: not run.is_headline):
        text = verdict(
            run.difference,
            names=(name(run.name), baseline),
            p_adjusted=run.p_adjusted,
            num_tests=comparison.holm_family[0 if run.is_headline else 1],
            num_seeds=compared.num_seeds[run.run_id],
            language=view.words.language,
        )
        yield run, text


@router.get("/compare/figures/{key}.json")
def figure(
    view: Shown,
    key: str,
    run: Runs = [],
    axis: str = "step",
    log: bool = False,
) -> Response:
    """`accuracy`, `pareto-time`, `pareto-memory`, or a curve over an axis."""
    found = chosen(view, run)
    if key in FIELDS_OF_CURVES and axis in AXES_OF_CURVES:
        curves = [
            curve_of(view.site.runs_dir / r.run_id, found.names[r.run_id], r)
            for r in found.trainings
        ]
        field, over = FIELDS_OF_CURVES[key], AXES_OF_CURVES[axis]
        rows = curve_rows(curves, field=field, axis=over)
        return figures.answer(curve_spec(rows, field=field, axis=over, log=log), view.words)
    rows_of_results = _rows(view, found)
    if key == "accuracy":
        return figures.answer(charts.accuracy_chart(rows_of_results), view.words)
    if key.startswith("pareto-"):
        cost = {"pareto-time": "minutes", "pareto-memory": "gibibytes"}.get(key)
        if cost is not None:
            return figures.answer(pareto_chart(rows_of_results, cost), view.words)
    raise missing(key)


def _rows(view: View, found: Chosen) -> list[Row]:
    records = [*found.trainings, *found.evals]
    return study_rows(records, load_all_samples(records, view.site.runs_dir))
