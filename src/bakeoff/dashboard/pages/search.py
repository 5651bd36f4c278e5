"""What a search or a transfer experiment came to: the sections of their reports."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from bakeoff.base.files import read_json
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
    return _show(view, name, "search")


@router.get("/studies/{name}/transfer")
def transfer(view: Shown, name: str) -> HTMLResponse:
    return _show(view, name, "transfer")


def _show(view: View, name: str, kind: str) -> HTMLResponse:
    if not known_study(view, name):
        raise missing(name)
    path = view.site.store.study_dir(name) / f"{kind}.json"
    if not path.is_file():
        raise missing(path.name)
    key = (path, path.stat().st_mtime_ns)
    return view.show("sections.html", found=_pages.get(key, lambda: _page(path)), name=name)


def _page(path: Path) -> Page:
    if path.stem == "search":
        return search_page(SearchResult.model_validate(read_json(path)), ())
    return transfer_page(TransferResult.model_validate(read_json(path)), ())
