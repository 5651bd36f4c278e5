"""What a search or a transfer experiment came to: the sections of their reports."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from bakeoff.base.files import read_json
from bakeoff.dashboard import figures
from bakeoff.dashboard.memo import Memo
from bakeoff.dashboard.pages.asking import Shown, known_study, missing
from bakeoff.dashboard.render import View
from bakeoff.report.page import Page
from bakeoff.report.search_report import search_page
from bakeoff.report.transfer_report import transfer_page
from bakeoff.schema.search import SearchResult
from bakeoff.schema.transfer import TransferResult

router = APIRouter()
KINDS = ("search", "transfer")
_pages: Memo[Page] = Memo(size=8)


def kinds_of(folder: Path) -> list[str]:
    """Which of the two left a result in a study's folder."""
    return [kind for kind in KINDS if (folder / f"{kind}.json").is_file()]


@router.get("/studies/{name}/search")
def search(view: Shown, name: str) -> HTMLResponse:
    return view.show("sections.html", found=_found(view, name, "search"), name=name)


@router.get("/studies/{name}/transfer")
def transfer(view: Shown, name: str) -> HTMLResponse:
    return view.show("sections.html", found=_found(view, name, "transfer"), name=name)


@router.get("/studies/{name}/search/figures/{key}.json")
def search_figure(view: Shown, name: str, key: str) -> Response:
    return _figure(view, _found(view, name, "search"), key)


@router.get("/studies/{name}/transfer/figures/{key}.json")
def transfer_figure(view: Shown, name: str, key: str) -> Response:
    return _figure(view, _found(view, name, "transfer"), key)


def _figure(view: View, found: Page, key: str) -> Response:
    every = [figure for section in found.sections for figure in section.figures]
    chart = next((figure.chart for figure in every if figure.key == key), None)
    return figures.answer(chart, view.words)


def _found(view: View, name: str, kind: str) -> Page:
    if not known_study(view, name):
        raise missing(name)
    path = view.site.store.study_dir(name) / f"{kind}.json"
    if not path.is_file():
        raise missing(path.name)
    key = (path, path.stat().st_mtime_ns)
    return _pages.get(key, lambda: _page(path))


def _page(path: Path) -> Page:
    if path.stem == "search":
        return search_page(SearchResult.model_validate(read_json(path)), ())
    return transfer_page(TransferResult.model_validate(read_json(path)), ())
