"""Everything that a page says, in the person's language: one catalogue a language.

The English text itself is the key, so that a template reads like the page it makes. What the core
says (names of runs, headings of tables, notes, refusals) comes here as finished English text: it is
looked up as a whole, then as a sentence with places for values (`{a}`), then part by part.
"""

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_PLACE = re.compile(r"\{(\w+)\}")
_BETWEEN = re.compile(r"(-?[\d.]+) to (-?[\d.]+)")
_ABOUT = re.compile(r"(.+[.:]) \(([^()]+?)(?: and (\d+) more)?\)", re.DOTALL)
_UNITS = {" h ": " 小时 ", " min ": " 分 ", " min": " 分钟", " s": " 秒"}


class Words:
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, text: str, **values: Any) -> str:
        """A text of ours, which the catalogue must know."""
        if self.language != "en":
            text = catalogue(self.language)[text]
        return text.format(**values) if values else text

    def core(self, text: str) -> str:
        """A text that the core made; as it is where the catalogue does not know it."""
        if self.language == "en" or not text:
            return text
        return _translated(self.language, text)

    def name(self, text: str) -> str:
        """The name of a run: `LoRA, ms-swift, seed 1`."""
        if self.language == "en":
            return text
        return _named(self.language, text)

    def duration(self, text: str) -> str:
        """`3 min 20 s`."""
        if self.language == "en":
            return text
        for unit, word in _UNITS.items():
            text = re.sub(rf"(?<=\d){unit}(?=\d|$)", word, text)
        return text


def language_of(cookie: str | None, accepted: str | None) -> Language:
    """As chosen before; else as the browser asks; else English."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    first = (accepted or "").split(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"


@cache
def catalogue(language: Language) -> dict[str, str]:
    """Of our own texts and of the core's."""
    return own_texts(language) | core_texts(language)


@cache
def own_texts(language: Language) -> dict[str, str]:
    return _read(f"{language}.json")


@cache
def core_texts(language: Language) -> dict[str, str]:
    return _read(f"{language}.core.json")


def _read(name: str) -> dict[str, str]:
    text = (files("bakeoff.dashboard") / "locale" / name).read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


@cache
def _sentences(language: Language) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Texts of the core with places, as expressions, the most specific first."""
    found = [text for text in core_texts(language) if _PLACE.search(text)]
    found.sort(key=lambda text: -len(_PLACE.sub("", text)))
    return tuple((_expression(text), core_texts(language)[text]) for text in found)


def _expression(text: str) -> re.Pattern[str]:
    parts = _PLACE.split(text)
    made = "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(made, re.DOTALL)


@lru_cache(maxsize=20_000)
def _whole(language: Language, text: str) -> str | None:
    known = core_texts(language).get(text)
    if known is not None:
        return known
    for expression, wanted in _sentences(language):
        found = expression.fullmatch(text)
        if found is not None:
            values = {key: _named(language, value) for key, value in found.groupdict().items()}
            return wanted.format(**values)
    return None


@lru_cache(maxsize=20_000)
def _translated(language: Language, text: str) -> str:
    whole = _whole(language, text)
    if whole is not None:
        return whole
    between = _BETWEEN.fullmatch(text)
    if between is not None:
        return f"{between.group(1)} 到 {between.group(2)}"
    # Whom a warning is about stands behind it.
    about = _ABOUT.fullmatch(text)
    if about is not None:
        told = _translated(language, about.group(1))
        if told != about.group(1):
            who = "、".join(_named(language, name) for name in about.group(2).split("; "))
            more = f" 等另外 {about.group(3)} 个" if about.group(3) else ""
            return f"{told}（{who}{more}）"
    sentences = re.split(r"(?<=[.:;]) (?=[A-Z`])", text)
    if len(sentences) > 1:
        return _joined([_translated(language, sentence) for sentence in sentences])
    return _named(language, text) if ", " in text or text.endswith(")") else text


def _joined(sentences: list[str]) -> str:
    """Chinese sentences stand without a space between them, others do not."""
    text = sentences[0]
    for sentence in sentences[1:]:
        text += sentence if text.endswith(("。", "；", "：")) else f" {sentence}"
    return text


def _named(language: Language, text: str) -> str:
    parts = [_part(language, part) for part in text.split(", ")]
    return "，".join(parts) if parts != text.split(", ") else text


def _part(language: Language, text: str) -> str:
    """`base model`, `seed 1`, `base model (0-shot)`."""
    known = core_texts(language).get(text)
    if known is not None:
        return known
    more = re.fullmatch(r"(.+) \(([^()]+)\)", text)
    if more is not None:
        return f"{_part(language, more.group(1))}（{_part(language, more.group(2))}）"
    shots = re.fullmatch(r"(\d+)-shot", text)
    if shots is not None:
        return f"{shots.group(1)} 个示例"
    word, space, value = text.partition(" ")
    if space and word in core_texts(language):
        return f"{core_texts(language)[word]} {value}"
    return text
