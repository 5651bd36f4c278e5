"""In which script a text is written."""

import re

# A script counts from this share of the letters on: a name or a unit makes no mixed text.
_MIN_SHARE = 0.15
_SCRIPTS = {
    "Chinese": re.compile(r"[\u3400-\u9fff\uf900-\ufaff]"),
    "Japanese": re.compile(r"[\u3040-\u30ff]"),
    "Korean": re.compile(r"[\uac00-\ud7af]"),
    "Cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "Arabic": re.compile(r"[\u0600-\u06ff]"),
    "Devanagari": re.compile(r"[\u0900-\u097f]"),
    "Latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
}
_ANY_LATIN = re.compile(r"[A-Za-z]")
_SAMPLE_CHARACTERS = 2_000


def language_of(text: str) -> str:
    """`Chinese`, `Latin`, `Chinese and Latin` (mixed), or `no letters`.

    Of a long text the beginning decides. Scripts, not languages: Latin is English as well as
    German. Japanese is told by its kana, which stand among Chinese characters.
    """
    start = text[:_SAMPLE_CHARACTERS]
    if start.isascii():
        return "Latin" if _ANY_LATIN.search(start) else "no letters"
    counts = {name: len(pattern.findall(start)) for name, pattern in _SCRIPTS.items()}
    if counts["Japanese"]:
        counts["Japanese"] += counts.pop("Chinese")
    total = sum(counts.values())
    if not total:
        return "no letters"
    return " and ".join(name for name, count in counts.items() if count >= _MIN_SHARE * total)
