"""Who may ask: host names, the token, forged requests, size, and what a browser may load.

A page on this machine can be reached by every web site that its person visits. So: no answer under
a foreign host name (DNS rebinding), no change without a secret that only our pages know (CSRF), no
scripts or styles but our own files (a model's answer is text, whatever it says). From another
machine, a token; its cookie is useless elsewhere and unreadable by scripts.

Accepted trade-off: without a token every account on this machine can ask; `--with-token` wants one.
"""

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION = "bakeoff_session"
CSRF_HEADER = "x-bakeoff-csrf"
MOST_BODY_BYTES = 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
_SAFE = ("GET", "HEAD")
_OPEN = ("/login", "/static/")
"""What answers without the token: nothing of the store."""


@dataclass(frozen=True, kw_only=True)
class Access:
    hosts: frozenset[str] = LOOPBACK
    """Names under which the page may be asked for, without a port."""

    any_address: bool = False
    """Also under every numeric address: no site can point its name at one."""

    token: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """Stands in our own pages, which no other site can read."""

    @property
    def session(self) -> str:
        """The cookie's value: it proves the token and does not tell it."""
        return hashlib.sha256(f"session {self.token}".encode()).hexdigest()

    def knows(self, token: str) -> bool:
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def serves(self, host: str | None) -> bool:
        name = host_name(host or "")
        if name in self.hosts:
            return True
        return self.any_address and _is_address(name)


def host_name(host: str) -> str:
    """Of a Host header, without the port; an IPv6 address without brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware in front of everything."""

    def __init__(self, app: ASGIApp, *, access: Access, read_only: bool) -> None:
        self._app = app
        self._access = access
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self._app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._access.serves(headers.get("host")):
            return PlainTextResponse("this page is not served under that name", status_code=421)
        entering = self._without_session(scope, headers)
        if entering is not None:
            return entering
        if scope["method"] in _SAFE:
            return _why_no_answer(headers)
        return self._why_no_change(scope, headers)

    def _without_session(self, scope: Scope, headers: Headers) -> Response | None:
        if self._access.token is None or scope["path"].startswith(_OPEN):
            return None
        if hmac.compare_digest(_cookie(headers, SESSION), self._access.session):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.pop("token", [""])[0]
        if scope["method"] == "GET" and self._access.knows(given):
            rest = urlencode(query, doseq=True)
            return enter(RedirectResponse(_local(scope["path"], rest), 303), self._access)
        if scope["method"] == "GET" and "hx-request" not in headers:
            return RedirectResponse(f"/login?next={quote(scope['path'])}", 303)
        return PlainTextResponse("the token is missing: open /login", status_code=401)

    def _why_no_change(self, scope: Scope, headers: Headers) -> Response | None:
        if not headers.get("content-length", "0").isdigit() or (
            int(headers.get("content-length", "0")) > MOST_BODY_BYTES
        ):
            return PlainTextResponse("too large", status_code=413)
        if not _same_site(headers):
            return PlainTextResponse("asked by another site", status_code=403)
        if scope["path"] == "/login":
            return None
        if not hmac.compare_digest(headers.get(CSRF_HEADER, ""), self._access.csrf):
            return PlainTextResponse("reload the page and try again", status_code=403)
        if self._read_only:
            return PlainTextResponse("started with --read-only", status_code=403)
        return None


def enter(response: Response, access: Access) -> Response:
    """With the cookie that stands for the token."""
    response.set_cookie(SESSION, access.session, httponly=True, samesite="strict", path="/")
    return response


def local_path(wanted: str) -> str:
    """A path of this site, whatever was asked for; never another site's address."""
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or not parts.path.startswith("/"):
        return "/"
    return _local(parts.path, parts.query)


def _local(path: str, query: str) -> str:
    path = "/" + path.replace("\\", "/").lstrip("/")
    return quote(path) + (f"?{query}" if query else "")


def _why_no_answer(headers: Headers) -> Response | None:
    """A link from elsewhere is followed; what another site embeds is not served.

    It could not read the answer, but it could make us work for it.
    """
    foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
    if foreign and headers.get("sec-fetch-mode") != "navigate":
        return PlainTextResponse("asked by another site", status_code=403)
    return None


def _same_site(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _cookie(headers: Headers, name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", POLICY)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return with_headers


def _limited(receive: Receive) -> Receive:
    """A body that is longer than it said it would be ends here."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MOST_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return limited
