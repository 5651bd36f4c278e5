"""The application: pages behind a guard."""

import socket
import threading

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from typing_extensions import override

from bakeoff.base.errors import UserError
from bakeoff.dashboard import assets
from bakeoff.dashboard.access import Guard
from bakeoff.dashboard.pages import (
    answers,
    compare,
    data,
    entering,
    fit,
    new,
    run,
    search,
    studies,
    study,
    talk,
)
from bakeoff.dashboard.render import view_of
from bakeoff.dashboard.site import Site


def make_app(site: Site) -> FastAPI:
    """All pages of one store."""
    app = FastAPI(title="bakeoff", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    for module in (assets, entering, studies, study, data, run, answers, compare, search, fit):
        app.include_router(module.router)
    if not site.read_only:
        app.include_router(new.router)
        app.include_router(talk.router)
    app.add_exception_handler(UserError, _mistake)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_address)
    app.add_middleware(Guard, access=site.access, read_only=site.read_only)
    return app


def make_server(site: Site) -> uvicorn.Server:
    """Its ``run`` takes the sockets; live progress ends before the server does."""
    config = uvicorn.Config(
        make_app(site), log_level="warning", server_header=False, timeout_graceful_shutdown=4
    )
    return _Server(config, site)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._site.closing.set()
        await super().shutdown(sockets)
        self._site.talks.close()


def warm_up() -> None:
    """Import and put together what the first page with a chart needs, while nobody waits."""

    def bring() -> None:
        import altair  # noqa: F401, PLC0415 - heavy

        assets.content(assets.DRAWING)

    threading.Thread(target=bring, daemon=True).start()


def _mistake(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)  # noqa: S101 - registered for it alone
    return view_of(request).show("error.html", status=400, title=str(error), hint=error.hint)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    view = view_of(request)
    # Starlette's own words, where no page has this address.
    what = request.url.path if error.detail == "Not Found" else error.detail
    title = view.words("Not here: {what}", what=what) if error.status_code == 404 else None
    return view.show(
        "error.html", status=error.status_code, title=title or str(error.detail), hint=None
    )


def _bad_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()
    )
    return view_of(request).show("error.html", status=422, title=problems, hint=None)
