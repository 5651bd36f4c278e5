"""The licence, from the head of the model's card or a licence file beside it."""

from io import StringIO
from pathlib import Path
from typing import Any


def licence_of(folder: Path) -> str | None:
    """As the card names it (`apache-2.0`, or the name of a licence of its own); None if unsaid."""
    head = _card_head(folder / "README.md")
    name = head.get("license")
    if isinstance(name, list):
        name = ", ".join(str(part) for part in name)
    if name == "other" and head.get("license_name"):
        name = head["license_name"]
    if name:
        return str(name)
    for file in ("LICENSE", "LICENSE.txt"):
        if (folder / file).is_file():
            text = (folder / file).read_text(encoding="utf-8", errors="replace")
            return next((line.strip() for line in text.splitlines() if line.strip()), None)
    return None


def _card_head(path: Path) -> dict[str, Any]:
    """The YAML between two lines of `---` at the top; empty when there is none that can be read."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="replace").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return {}
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to import
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - slow to import

    try:
        value = YAML(typ="safe").load(StringIO(text[4:].partition("\n---")[0]))
    except YAMLError:
        return {}
    return value if isinstance(value, dict) else {}
