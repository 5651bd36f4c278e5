"""The first page: every study, the newest first; and every run."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from bakeoff.dashboard.jobs import Jobs
from bakeoff.dashboard.naming import axes_of, name_of
from bakeoff.dashboard.pages.asking import AskedFor, Shown

router = APIRouter()


@router.get("/")
def studies(view: Shown, asked: AskedFor) -> HTMLResponse:
    found = view.site.store.lists.studies(asked)
    jobs = Jobs(view.site)
    running = {study.name for study in found.rows if study.num_left and jobs.running(study.name)}
    return view.show("studies.html", found=found, asked=asked, running=running)


@router.get("/runs")
def runs(view: Shown, asked: AskedFor) -> HTMLResponse:
    store = view.site.store
    found = store.lists.runs(asked)
    axes = axes_of(found.rows)
    return view.show(
        "runs.html",
        found=found,
        asked=asked,
        axes=(),
        names={run.run_id: name_of(run, axes) for run in found.rows},
        path="/runs",
        unreadable=list(store.unreadable.values()),
    )
