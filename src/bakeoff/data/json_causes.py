"""Why a text is not JSON, in the words of the person who wrote it."""

from bakeoff.data.mistakes import NotJsonError

# What word processors and Chinese input methods write in place of what JSON wants.
_PUNCTUATION = dict(zip("‘’“”，：｛｝［］", "''\"\",:{}[]", strict=True))  # noqa: RUF001
_PYTHON_WORDS = {"None": "null", "True": "true", "False": "false"}
_EXCERPT_CHARACTERS = 24


def json_error(text: str, position: int, message: str, *, where: str) -> NotJsonError:
    """The error for ``text`` going wrong at ``position``.

    Args:
        text: What was read, of one line or of a whole file.
        position: Where the parser stopped, from 0.
        message: What the parser said; shown when nothing better is known.
        where: File and row, for the message.
    """
    cause, hint = _cause(text, position, message)
    before = text[:position]
    column = position - before.rfind("\n")
    line = f"line {before.count(chr(10)) + 1}, " if "\n" in text else ""
    start = max(0, position - _EXCERPT_CHARACTERS)
    excerpt = " ".join(text[start : position + _EXCERPT_CHARACTERS].split())
    return NotJsonError(
        f"{where}: not valid JSON at {line}column {column}: {cause}, near `{excerpt}`", hint=hint
    )


def _cause(text: str, position: int, message: str) -> tuple[str, str]:
    """What is wrong and what to do; the commonest mistakes by name."""
    rest = text[position:]
    before = text[:position].rstrip()
    return (
        _wrong_kind_of_file(text)
        or _wrong_mark(rest)
        or _wrong_quotes(rest)
        or _wrong_word(rest)
        or _wrong_comma(before, rest, message)
        or _wrong_end(rest, message)
        or _wrong_inside_string(message)
        or (message[:1].lower() + message[1:], "each row must be one JSON object")
    )


def _wrong_kind_of_file(text: str) -> tuple[str, str] | None:
    if text.lstrip().startswith("<"):
        return "it looks like a web page", "download the file itself, not the page that shows it"
    return None


def _wrong_mark(rest: str) -> tuple[str, str] | None:
    # At the start of a file the mark is taken off; elsewhere two files were put together.
    if rest.startswith("\ufeff"):
        return (
            "a byte-order mark (BOM) inside the file",
            "files with a BOM were put together: save each as UTF-8 without BOM first",
        )
    return None


def _wrong_quotes(rest: str) -> tuple[str, str] | None:
    if rest.startswith("'"):
        return (
            "text stands in single quotes",
            'JSON wants double quotes: {"question": "..."}; from Python write it with json.dumps',
        )
    if rest[:1] in _PUNCTUATION:
        return (
            f"`{rest[0]}` is typographic or full-width punctuation",
            f"write a plain `{_PUNCTUATION[rest[0]]}` instead",
        )
    return None


def _wrong_word(rest: str) -> tuple[str, str] | None:
    for word in ("NaN", "Infinity", "-Infinity"):
        if rest.startswith(word):
            return f"{word} is no JSON value", "write null or leave the row out"
    for word, instead in _PYTHON_WORDS.items():
        if rest.startswith(word):
            return (
                f"{word} is Python, not JSON",
                f"write {instead}; from Python write the file with json.dumps",
            )
    if rest.startswith(("//", "#", "/*")):
        return "a comment", "JSON knows no comments: take it out"
    if rest[:1].isalpha():
        return "a name or text without quotes", "put it in double quotes"
    return None


def _wrong_comma(before: str, rest: str, message: str) -> tuple[str, str] | None:
    # Python 3.13 points at the comma, earlier versions behind it.
    if before.endswith(",") and rest[:1] in ("}", "]"):
        return "a trailing comma", f"take out the comma before `{rest[0]}`"
    if rest.startswith(",") and rest[1:].lstrip()[:1] in ("}", "]"):
        return "a trailing comma", "take out the comma before the closing bracket"
    if rest.startswith('"') and before.endswith(('"', "}", "]")):
        return "a comma is missing", 'separate the parts with a comma: "question": "...", "answer"'
    if rest.startswith("{") and before.endswith("}") and message != "Extra data":
        return "a comma is missing", "separate the rows of an array with commas: {...}, {...}"
    return None


def _wrong_end(rest: str, message: str) -> tuple[str, str] | None:
    if message == "Extra data":
        if rest.startswith(",") and not rest[1:].strip():
            return (
                "a comma after the row",
                "with one object a line there are no commas between the lines",
            )
        if rest.startswith(":"):
            return (
                "a part of an object",
                "one object spans several lines: write each object on one line, or all of them as "
                "one array in [ ]",
            )
        return "more follows after the end of the row", "put each JSON object on a line of its own"
    if not rest.strip() or "Unterminated string" in message:
        return (
            "the text ends before the object is closed",
            "the file was cut off, or one object spans several lines: write each object on one "
            "line, or all of them as one array in [ ]",
        )
    return None


def _wrong_inside_string(message: str) -> tuple[str, str] | None:
    if "control character" in message:
        return (
            "a raw line break or tab inside a text",
            r"write a line break inside a text as \n and a tab as \t",
        )
    if "escape" in message:
        return (
            "a single backslash inside a text",
            r"write a backslash as \\ (in paths and formulas)",
        )
    return None
