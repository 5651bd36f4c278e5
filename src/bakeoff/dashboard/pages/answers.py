"""The answers of an evaluation, one by one."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from bakeoff.compare.names import name_runs
from bakeoff.dashboard.answers import FLIPS, WHICH, AnswersAsked, find_answers
from bakeoff.dashboard.naming import name_of
from bakeoff.dashboard.pages.asking import Shown, missing
from bakeoff.dashboard.pages.run import run_folder
from bakeoff.dashboard.render import View
from bakeoff.schema.record import Record
from bakeoff.schema.summary import RunSummary
from bakeoff.store.lists import Asked

router = APIRouter()
_MOST_OTHERS = 200


@router.get("/runs/{run_id}/answers")
def answers(
    view: Shown,
    run_id: str,
    other: str = "",
    which: str = "",
    words: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> HTMLResponse:
    run_folder(view, run_id)
    record = view.site.store.record(run_id)
    if record is None or not record.scores:
        raise missing(run_id)
    others = _others(view, record)
    held = view.site.store.record(other) if other in {o.run_id for o in others} else None
    kind = WHICH.get(which, "")
    asked = AnswersAsked(which=kind if held or kind not in FLIPS else "", words=words, page=page)
    try:
        found = find_answers(view.site.runs_dir, record, held, asked)
    except FileNotFoundError as error:
        raise missing(str(error.filename)) from error
    known = [record] if held is None else [record, held]
    return view.show(
        "answers.html",
        record=record,
        names=name_runs(known),
        axes=(),
        other=held,
        others=[(run.run_id, name_of(run, _axes(view, run_id))) for run in others],
        found=found,
        asked=asked,
        studies=view.site.store.lists.studies_of(run_id),
    )


def _axes(view: View, run_id: str) -> tuple[str, ...]:
    studies = view.site.store.lists.studies_of(run_id)
    facts = view.site.store.lists.study_facts(studies[0]) if studies else None
    return facts.axes if facts else ()


def _others(view: View, record: Record) -> list[RunSummary]:
    """Finished evaluations of the same study, task and number of examples."""
    studies = view.site.store.lists.studies_of(record.run_id)
    if not studies:
        return []
    asked = Asked(size=_MOST_OTHERS, kind="eval", state="finished")
    found = view.site.store.lists.runs_of(studies[0], asked).rows
    score = record.scores[0]
    return [
        run
        for run in found
        if run.run_id != record.run_id
        and (run.task, run.num_fewshot) == (score.task, score.num_fewshot)
    ]
