"""One run: what it did step by step, with which settings, on what; its files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from bakeoff.base.files import read_json
from bakeoff.base.locks import is_locked
from bakeoff.base.process import log_tail
from bakeoff.compare.curves import (
    AXES_OF_CURVES,
    FIELDS_OF_CURVES,
    Axis,
    Field,
    curve_of,
    curve_rows,
)
from bakeoff.compare.names import name_runs
from bakeoff.dashboard import figures
from bakeoff.dashboard.naming import name_of
from bakeoff.dashboard.pages.asking import Shown, missing
from bakeoff.dashboard.progress import run_progress
from bakeoff.dashboard.render import View
from bakeoff.dashboard.settings import settings_of_run
from bakeoff.report.costs import costs_table, speed_table
from bakeoff.report.curves import curve_spec
from bakeoff.report.settings import data_table, provenance_table
from bakeoff.report.timeline import timelines
from bakeoff.report.timeline_chart import timeline_chart
from bakeoff.runner.process_run import LOG, lock_of
from bakeoff.schema.record import Record
from bakeoff.schema.summary import summary_of

router = APIRouter()
_MOST_FILES = 500
_LOG_LINES = 400


@router.get("/runs/{run_id}")
def run(view: Shown, run_id: str) -> HTMLResponse:
    folder = run_folder(view, run_id)
    record = view.site.store.record(run_id)
    studies = view.site.store.lists.studies_of(run_id)
    is_running = is_locked(lock_of(folder))
    values: dict[str, Any] = {
        "run_id": run_id,
        "record": record,
        "studies": studies,
        "name": name_of_run(view, record) if record else run_id,
        "progress": run_progress(folder) if is_running else None,
        "files": sorted(_files(folder)),
        "log": log_tail(folder / LOG, num_lines=_LOG_LINES),
        "plan": _plan(folder) if record is None else None,
        "is_training": run_id.startswith("train-") if record is None else record.kind == "train",
    }
    if record is not None:
        values |= _tables(view, record)
    return view.show("run.html", **values)


def _tables(view: View, record: Record) -> dict[str, Any]:
    names = {record.run_id: name_runs([record])[record.run_id]}
    return {
        "has_model": _has_model(view, record),
        "children": view.site.store.lists.children_of([record.run_id]),
        "settings": settings_of_run(record),
        "costs": costs_table([record], names),
        "speed": speed_table([record], names),
        "data": data_table([record], names),
        "provenance": provenance_table([record]),
    }


def _has_model(view: View, record: Record) -> bool:
    """Whether there is something to talk with: of a training, or of an evaluation of one."""
    trained = record.run_id if record.kind == "train" else record.parent_run_id
    finished = record.kind == "eval" or record.status == "finished"
    return trained is not None and finished and (view.site.runs_dir / trained / "artefact").is_dir()


def name_of_run(view: View, record: Record) -> str:
    """As the first study that holds it calls it."""
    studies = view.site.store.lists.studies_of(record.run_id)
    facts = view.site.store.lists.study_facts(studies[0]) if studies else None
    return name_of(summary_of(record), facts.axes if facts else ())


def run_folder(view: View, run_id: str) -> Path:
    """Of a run that the store knows; an id is never a path.

    Raises:
        HTTPException: 404.
    """
    folder = view.site.runs_dir / run_id
    known = (
        run_id not in ("", ".", "..")
        and not any(mark in run_id for mark in "/\\\0")
        and folder.is_dir()
        and folder.parent == view.site.runs_dir
        and any((folder / name).is_file() for name in ("record.json", "plan.json"))
    )
    if not known:
        raise missing(run_id)
    return folder


def _plan(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(folder / "plan.json")
    return found


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Relative name and bytes; links are left out: they may lead anywhere."""
    for number, path in enumerate(folder.rglob("*")):
        if number >= _MOST_FILES:
            return
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path.stat().st_size


@router.get("/runs/{run_id}/files/{path:path}")
def file(view: Shown, run_id: str, path: str) -> Response:
    """A file of the run, to be saved: nothing in it is shown or run by the browser."""
    folder = run_folder(view, run_id).resolve()
    wanted = (folder / path).resolve()
    if not wanted.is_relative_to(folder) or not wanted.is_file():
        raise missing(path)
    return FileResponse(
        wanted, media_type="application/octet-stream", filename=wanted.name,
        content_disposition_type="attachment",
    )  # fmt: skip


@router.get("/runs/{run_id}/figures/{key}.json")
def figure(view: Shown, run_id: str, key: str, axis: str = "step", log: bool = False) -> Response:
    """`loss`, `learning_rate`, `grad_norm` or `timeline`; also of a run that still runs."""
    folder = run_folder(view, run_id)
    record = view.site.store.record(run_id)
    if key == "timeline":
        if record is None:
            return Response(status_code=204)
        return figures.answer(timeline_chart(timelines([record], view.site.runs_dir)), view.words)
    if key not in FIELDS_OF_CURVES or axis not in AXES_OF_CURVES:
        raise missing(key)
    field: Field = FIELDS_OF_CURVES[key]
    over: Axis = AXES_OF_CURVES[axis]
    curve = curve_of(folder, run_id, record)
    rows = curve_rows([curve], field=field, axis=over)
    return figures.answer(curve_spec(rows, field=field, axis=over, log=log), view.words)
