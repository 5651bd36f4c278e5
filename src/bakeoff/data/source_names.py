"""Names of datasets as other frameworks write them."""

import re
from pathlib import Path
from typing import Literal, NamedTuple

from bakeoff.base.files import read_json
from bakeoff.base.sources import BUILTIN_PREFIX, resolve_path

LIST_NAME = "dataset_info.json"
PLACES = (
    *("hf_hub_url", "ms_hub_url", "om_hub_url"),
    *("script_url", "cloud_file_name", "file_name"),
)
"""Keys that say where the rows of an entry are; the first that is there counts."""

_SWIFT = re.compile(
    r"((?P<hub>hf|ms)::)?(?P<path>([A-Za-z]:[\\/])?[^:#]+)"
    r"(:(?P<subsets>[^:#\\]+))?(#(?P<count>[1-9]\d*))?",
    re.IGNORECASE,
)


class Entry(NamedTuple):
    """One dataset of LLaMA-Factory's list."""

    list_path: Path
    name: str | None
    """None: none was named."""


def find_entry(source: str, base_dir: Path) -> Entry | None:
    """`FOLDER/dataset_info.json:NAME`, or `FOLDER:NAME` where FOLDER holds such a list.

    None: it is something else, or there is no such file.
    """
    whole = resolve_path(source, base_dir)
    if whole.name == LIST_NAME and whole.is_file():
        return Entry(whole, None)
    before, colon, name = source.rpartition(":")
    if not colon or before == "builtin" or "/" in name or "\\" in name:
        return None
    path = resolve_path(before, base_dir)
    list_path = path / LIST_NAME if path.is_dir() else path
    return Entry(list_path, name) if list_path.name == LIST_NAME and list_path.is_file() else None


def entry_names(list_path: Path) -> list[str]:
    """Datasets of LLaMA-Factory's list; none where the file is something else of that name."""
    try:
        return listed_names(read_json(list_path))
    except (OSError, ValueError):
        return []


def listed_names(listed: object) -> list[str]:
    """Those of what such a file holds.

    (`datasets` writes a file of that name too, about a single dataset.)
    """
    if not isinstance(listed, dict):
        return []
    return [
        name
        for name, entry in listed.items()
        if isinstance(entry, dict) and entry.keys() & {*PLACES}
    ]


class SwiftName(NamedTuple):
    """A dataset as ms-swift's `--dataset` names it."""

    hub: Literal["hf", "ms"] | None
    path: str
    subsets: tuple[str, ...]
    num_rows: int | None


def parse_swift_name(source: str) -> SwiftName | None:
    """`[hf::|ms::]ID_OR_PATH[:SUBSET/SUBSET][#COUNT]`; None: it has no part that is ms-swift's."""
    match = None if source.startswith(BUILTIN_PREFIX) else _SWIFT.fullmatch(source)
    if match is None:
        return None
    hub, path, subsets, count = match.group("hub", "path", "subsets", "count")
    if not (hub or subsets or count):
        return None
    return SwiftName(
        None if hub is None else "hf" if hub.lower() == "hf" else "ms",
        path,
        tuple(subsets.split("/")) if subsets else (),
        int(count) if count else None,
    )
