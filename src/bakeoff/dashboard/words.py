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
_NUMBER = r"([-+]?\d[\d.,e-]*)"
_NUMBERS = (
    (re.compile(rf"{_NUMBER} to {_NUMBER}"), "{} 到 {}"),
    (re.compile(rf"{_NUMBER} of {_NUMBER}"), "{}/{}"),
    (re.compile(rf"{_NUMBER} times"), "{} 倍"),
    (re.compile(rf"{_NUMBER}-shot"), "{} 个示例"),
)
_COMMA = re.compile(r", (?![^()]*\))")
_SENTENCE_END = re.compile(r"(?<=[.:;]) (?=[A-Z`])(?![^()]*\))")
_ABOUT = re.compile(r"(.+[.:]) \(([^()]+?)(?: and (\d+) more)?\)", re.DOTALL)
_UNITS = (
    (re.compile(r"(?<=\d) h (?=\d)"), " 小时 "),
    (re.compile(r"(?<=\d) min (?=\d)"), " 分 "),
    (re.compile(r"(?<=\d) min\b"), " 分钟"),
    (re.compile(r"(?<=\d) s\b"), " 秒"),
)


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
        return text if self.language == "en" else _named(self.language, text)

    def duration(self, text: str) -> str:
        """`3 min 20 s`."""
        return text if self.language == "en" else _duration(text)


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
    """A value never reaches into the next sentence."""
    parts = _PLACE.split(text)
    value = r"(?P<{}>(?:(?!\. [A-Z]).)+?)"
    made = "".join(value.format(part) if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(made, re.DOTALL)


@lru_cache(maxsize=20_000)
def _whole(language: Language, text: str) -> str | None:
    known = core_texts(language).get(text)
    if known is not None:
        return known
    for expression, wanted in _sentences(language):
        found = expression.fullmatch(text)
        if found is not None:
            values = {key: _value(language, value) for key, value in found.groupdict().items()}
            return wanted.format(**values)
    return None


def _value(language: Language, text: str) -> str:
    return _whole(language, text) or _duration(_named(language, text))


@lru_cache(maxsize=20_000)
def _translated(language: Language, text: str) -> str:
    whole = _whole(language, text)
    if whole is not None:
        return whole
    # Whom a warning is about stands behind it.
    about = _ABOUT.fullmatch(text)
    if about is not None:
        told = _translated(language, about.group(1))
        if told != about.group(1):
            who = "、".join(_named(language, name) for name in about.group(2).split("; "))
            more = f" 等另外 {about.group(3)} 个" if about.group(3) else ""
            return f"{told}（{who}{more}）"
    sentences = _SENTENCE_END.split(text)
    if len(sentences) > 1:
        return _joined([_translated(language, sentence) for sentence in sentences])
    return _named(language, text) if ", " in text or text.endswith(")") else _numbers(text)


def _joined(sentences: list[str]) -> str:
    """Chinese sentences stand without a space between them, others do not."""
    text = sentences[0]
    for sentence in sentences[1:]:
        text += sentence if text.endswith(("。", "；", "：")) else f" {sentence}"
    return text


def _named(language: Language, text: str) -> str:
    """Names and figures in a row: translated if one of them is, or all of them are names."""
    parts = _COMMA.split(text)
    made = [_part(language, part) for part in parts]
    is_known = made != parts or all(part in core_texts(language) for part in parts)
    return "，".join(made) if is_known else text


def _part(language: Language, text: str) -> str:
    """`base model`, `seed 1`, `base model (0-shot)`, `1.2 to 1.5`."""
    whole = _whole(language, text)
    if whole is not None:
        return whole
    more = re.fullmatch(r"(.+) \(([^()]+)\)", text)
    if more is not None:
        return f"{_part(language, more.group(1))}（{_value(language, more.group(2))}）"
    word, space, value = text.partition(" ")
    if space and word in core_texts(language):
        return f"{core_texts(language)[word]} {value}"
    return _numbers(text)


def _numbers(text: str) -> str:
    for expression, wanted in _NUMBERS:
        found = expression.fullmatch(text)
        if found is not None:
            return wanted.format(*found.groups())
    return text


def _duration(text: str) -> str:
    for unit, word in _UNITS:
        text = unit.sub(word, text)
    return text
