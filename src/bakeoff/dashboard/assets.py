"""Our own style, scripts and icon, and the drawing library: nothing comes from another machine.

The library is vega-embed with Vega and Vega-Lite, which the wheel of vl-convert holds: the very
versions that draw the report. It is put together once a start, in a second.
"""

import hashlib
import threading
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

router = APIRouter()
DRAWING = "vega.js"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_lock = threading.Lock()


@cache
def _content(name: str) -> bytes | None:
    if name == DRAWING:
        import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

        found: str = vl_convert.javascript_bundle()
        return found.encode()
    folder = files("bakeoff.dashboard") / "static"
    known = {entry.name for entry in folder.iterdir()}
    return (folder / name).read_bytes() if name in known else None


def content(name: str) -> bytes | None:
    with _lock:
        return _content(name)


@cache
def address_of(name: str) -> str:
    """With a digest, so that a browser keeps the file until it changes."""
    if name == DRAWING:
        import vl_convert  # noqa: PLC0415 - its version names the bundle, which takes a second

        return f"/static/{name}?v={vl_convert.__version__}"
    data = content(name)
    assert data is not None, name  # noqa: S101 - our own templates name our own files
    return f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}"


@router.get("/static/{name}")
def static(name: str) -> Response:
    """One of our files."""
    data = content(name)
    if data is None:
        return PlainTextResponse("no such file", status_code=404)
    kind = _KINDS.get("." + name.rpartition(".")[2], "application/octet-stream")
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(data, media_type=kind, headers=headers)
