"""A framework's settings: lines of its YAML file set anew, and what it made of them as JSON."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECRET = re.compile(r"token(?!s|i)|secret|password|api_?key", re.IGNORECASE)


def complete(path: Path, values: Mapping[str, Any]) -> None:
    """Set keys in a file of one-line values; new ones are added at its end, None takes one out."""
    text = path.read_text(encoding="utf-8")
    added = []
    for key, value in values.items():
        line = f"{key}: {json.dumps(value, ensure_ascii=False)}\n"
        pattern = re.compile(rf"^{re.escape(key)}:.*\n", re.MULTILINE)
        if pattern.search(text):
            text = pattern.sub("" if value is None else line.replace("\\", r"\\"), text, count=1)
        elif value is not None:
            added.append(line)
    if added:
        text += "\n# From the rows and the model\n" + "".join(added)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold, without secrets; anything else as its text."""
    kept = {key: value for key, value in values.items() if not key.startswith("_")}
    return {
        key: json.loads(json.dumps(value, default=str))
        for key, value in sorted(kept.items())
        if not _SECRET.search(key)
    }
