"""A study: what runs, what is left, what came out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from bakeoff.base.errors import UserError
from bakeoff.dashboard import figures
from bakeoff.dashboard.jobs import Jobs
from bakeoff.dashboard.naming import name_of
from bakeoff.dashboard.pages.asking import AskedFor, Shown, known_study, missing
from bakeoff.dashboard.pages.search import kinds_of
from bakeoff.dashboard.pivot import MEASURES, pivot
from bakeoff.dashboard.progress import study_progress
from bakeoff.dashboard.render import View
from bakeoff.dashboard.results import FIGURES, study_figure, study_results
from bakeoff.store.lists import Asked

router = APIRouter()
_EVERY_SECONDS = 1.0
_MOST_PIVOTED = 5000


@router.get("/studies/{name}")
def study(view: Shown, asked: AskedFor, name: str) -> Response:
    if not known_study(view, name):
        return _not_yet(view, name)
    found = view.site.store.study(name)
    progress = study_progress(view.site, name)
    return view.show(
        "study.html",
        study=found,
        facts=view.site.store.lists.study_facts(name),
        progress=progress,
        axes=_axes(view, name),
        measures=MEASURES,
        kinds=kinds_of(view.site.store.study_dir(name)),
        has_report=(view.site.store.study_dir(name) / "report" / "report.html").is_file(),
        **_table(view, name, asked),
    )


def _not_yet(view: View, name: str) -> Response:
    """Started a moment ago: it has a process and no plan yet; or it ended before it had one."""
    jobs = Jobs(view.site)
    if jobs.find(name) is None:
        raise missing(name)
    return view.show("study_starting.html", name=name, progress=study_progress(view.site, name))


@router.get("/studies/{name}/table")
def table(view: Shown, asked: AskedFor, name: str) -> HTMLResponse:
    """The table alone, for a sort, a filter or a page of it."""
    if not known_study(view, name):
        raise missing(name)
    return view.show("runs_table.html", **_table(view, name, asked))


def _table(view: View, name: str, asked: Asked) -> dict[str, Any]:
    found = view.site.store.lists.runs_of(name, asked)
    axes = _axes(view, name)
    return {
        "found": found,
        "asked": asked,
        "names": {run.run_id: name_of(run, axes) for run in found.rows},
        "path": f"/studies/{name}",
    }


def _axes(view: View, name: str) -> tuple[str, ...]:
    """Those that vary, named as a cell names them."""
    facts = view.site.store.lists.study_facts(name)
    axes = facts.axes if facts is not None else ()
    return tuple(axis for axis in axes if not axis.startswith("evaluate."))


@router.get("/studies/{name}/pivot")
def pivoted(
    view: Shown, name: str, down: str = "", across: str = "", measure: str = "score", task: str = ""
) -> HTMLResponse:
    if not known_study(view, name):
        raise missing(name)
    runs = view.site.store.lists.runs_of(name, Asked(size=_MOST_PIVOTED)).rows
    made = pivot(runs, down=down, across=across, measure=measure, task=task)
    return view.show("pivot.html", pivot=made, path=f"/studies/{name}", measures=MEASURES)


@router.get("/studies/{name}/results")
def results(view: Shown, name: str) -> HTMLResponse:
    """What the report says, asked for by the page once it stands: statistics take their time."""
    if not known_study(view, name):
        raise missing(name)
    try:
        found = study_results(view.site, name, view.words)
    except UserError as error:
        return view.show("mistake.html", error=error)
    return view.show("results.html", found=found, name=name, figures=FIGURES)


@router.get("/studies/{name}/figures/{key}.json")
def figure(view: Shown, name: str, key: str) -> Response:
    if not known_study(view, name):
        raise missing(name)
    return figures.answer(study_figure(view.site, name, key), view.words)


@router.get("/studies/{name}/live")
async def live(view: Shown, request: Request, name: str) -> StreamingResponse:
    """Progress as server-sent events: a part of the page each time that something changed."""
    await to_thread.run_sync(known_study, view, name)
    return StreamingResponse(_told(view, request, name), media_type="text/event-stream")


async def _told(view: View, request: Request, name: str) -> AsyncIterator[str]:
    before = None
    quiet = 0.0
    while not (view.site.closing.is_set() or await request.is_disconnected()):
        progress = await to_thread.run_sync(study_progress, view.site, name)
        text = view.text("live.html", progress=progress, name=name)
        if text != before:
            yield _event("state", text)
            before, quiet = text, 0.0
        if progress.running is None:
            yield _event("end", "")
            return
        quiet += _EVERY_SECONDS
        if quiet >= 15:
            yield ": still here\n\n"
            quiet = 0.0
        await asyncio.sleep(_EVERY_SECONDS)


def _event(kind: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"event: {kind}\n{lines}\n"


@router.post("/studies/{name}/stop")
def stop(view: Shown, name: str) -> Response:
    known_study(view, name)
    try:
        Jobs(view.site).stop(name)
    except UserError as error:
        return view.show("mistake.html", error=error)
    return _go(f"/studies/{name}")


@router.post("/studies/{name}/resume")
def resume(view: Shown, name: str) -> Response:
    """The recipe as it was run, so that what is finished is reused."""
    if not known_study(view, name):
        raise missing(name)
    found = view.site.store.study(name)
    jobs = Jobs(view.site)
    try:
        jobs.start(name, jobs.recipe_of(found), found.overrides, force=False)
    except UserError as error:
        return view.show("mistake.html", error=error)
    return _go(f"/studies/{name}")


def _go(path: str) -> Response:
    """To another page, for htmx."""
    return Response(status_code=204, headers={"hx-redirect": path})


@router.get("/studies/{name}/report")
def report(view: Shown, name: str) -> Response:
    """The printable twin, in a sandbox of its own: it carries its style inside."""
    if not known_study(view, name):
        raise missing(name)
    path = view.site.store.study_dir(name) / "report" / "report.html"
    if not path.is_file():
        raise missing("report.html")
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return HTMLResponse(
        path.read_text(encoding="utf-8"), headers={"content-security-policy": policy}
    )
