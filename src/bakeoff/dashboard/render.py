"""Templates become answers: escaped, in the person's language and theme."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from bakeoff import __version__
from bakeoff.compare import numbers
from bakeoff.dashboard.assets import address_of
from bakeoff.dashboard.mathematics import mathematics
from bakeoff.dashboard.site import Site
from bakeoff.dashboard.words import LANGUAGES, Language, Words, language_of

LANGUAGE_COOKIE, THEME_COOKIE = "bakeoff_language", "bakeoff_theme"
Theme = Literal["", "light", "dark"]


@dataclass(frozen=True)
class View:
    """One request: who asks, and in which words it is answered."""

    request: Request
    site: Site
    words: Words
    theme: Theme

    def show(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or a part of one."""
        text = self.text(template, **values)
        return HTMLResponse(text, status_code=status)

    def text(self, template: str, **values: Any) -> str:
        return _environment().get_template(template).render(self._shared(), **values)

    def _shared(self) -> dict[str, Any]:
        return {
            "_": self.words,
            "words": self.words,
            "language": self.words.language,
            "languages": LANGUAGES,
            "theme": self.theme,
            "here": self.request.url.path,
            "query": self.request.url.query,
            "csrf": self.site.access.csrf,
            "read_only": self.site.read_only,
            "version": __version__,
        }


def view_of(request: Request) -> View:
    """Dependency of every page."""
    cookies = request.cookies
    language = language_of(cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language"))
    wanted = cookies.get(THEME_COOKIE, "")
    theme: Theme = "light" if wanted == "light" else "dark" if wanted == "dark" else ""
    return View(request, request.app.state.site, Words(language), theme)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bakeoff.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=numbers.percent,
        points=numbers.points,
        count=numbers.count,
        rate=numbers.rate,
        num_bytes=numbers.num_bytes,
        p_value=numbers.p_value,
        parameters=numbers.parameters,
        duration=_duration,
        core=_core,
        named=_named,
        moment=_moment,
        with_code=with_code,
        mathematics=mathematics,
    )
    environment.globals.update(
        asset=address_of, MISSING=numbers.MISSING, url_with=url_with, number=_number
    )
    return environment


def url_with(path: str, query: str, /, **changes: Any) -> str:
    """The address with some of its query replaced; empty values are left out."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - beside its only use

    kept = [(key, value) for key, value in parse_qsl(query) if key not in changes]
    added = [(key, str(value)) for key, value in changes.items() if value not in ("", None)]
    text = urlencode([*kept, *added])
    return f"{path}?{text}" if text else path


@pass_context
def _duration(context: Context, seconds: float | None) -> str:
    words: Words = context["words"]
    return words.duration(numbers.seconds(seconds))


@pass_context
def _core(context: Context, text: str) -> str:
    words: Words = context["words"]
    return words.core(text)


@pass_context
def _named(context: Context, text: str) -> str:
    words: Words = context["words"]
    return words.name(text)


def _moment(iso: str | None) -> str:
    """`2026-11-29 00:43 UTC`."""
    return numbers.MISSING if not iso else f"{iso[:16].replace('T', ' ')} UTC"


def _number(value: float | None, digits: int = 3) -> str:
    return numbers.MISSING if value is None else f"{value:.{digits}g}"


def with_code(text: str) -> Markup:
    """Escaped, with `code` between backticks set as code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (part if i % 2 == 0 else f"<code>{part}</code>" for i, part in enumerate(parts))
    return Markup("".join(marked))  # noqa: S704 - every part was escaped above


def language_named(text: str) -> Language | None:
    return next((language for language in LANGUAGES if language == text), None)
