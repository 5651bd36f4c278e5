"""The token, the language, the theme: what a browser remembers."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from bakeoff.dashboard.access import enter, local_path
from bakeoff.dashboard.pages.asking import Shown, missing
from bakeoff.dashboard.render import LANGUAGE_COOKIE, THEME_COOKIE, language_named

router = APIRouter()
_YEAR_SECONDS = 365 * 24 * 3600


@router.get("/login")
def login(view: Shown, next: str = "/") -> HTMLResponse:
    return view.show("login.html", next=local_path(next), wrong=False)


@router.post("/login")
def log_in(
    view: Shown,
    token: Annotated[str, Form(max_length=200)],
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """The cookie is set for the right token only."""
    if not view.site.access.knows(token.strip()):
        return view.show("login.html", status=403, next=local_path(next), wrong=True)
    return enter(RedirectResponse(local_path(next), 303), view.site.access)


@router.get("/language/{language}")
def choose_language(language: str, next: str = "/") -> Response:
    known = language_named(language)
    if known is None:
        raise missing(language)
    return _remember(LANGUAGE_COOKIE, known, next)


@router.get("/theme/{theme}")
def choose_theme(theme: str, next: str = "/") -> Response:
    """`auto` follows the system."""
    if theme not in ("auto", "light", "dark"):
        raise missing(theme)
    return _remember(THEME_COOKIE, theme, next)


def _remember(cookie: str, value: str, wanted: str) -> Response:
    response = RedirectResponse(local_path(wanted), 303)
    response.set_cookie(cookie, value, max_age=_YEAR_SECONDS, samesite="lax", path="/")
    return response
