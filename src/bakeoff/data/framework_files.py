"""What LLaMA-Factory and ms-swift need to read rows that we wrote, and what they do not read.

LLaMA-Factory: an entry of `dataset_info.json` for each file, naming every column (one that is not
named is not read). Turns go through `formatting: sharegpt` with all tags named, for `openai` adds a
text of its own to the system message. ms-swift: the arguments `dataset` and `columns`.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from bakeoff.base.errors import UserError
from bakeoff.data.formats.chat import MESSAGES, SHAREGPT
from bakeoff.data.source_names import LIST_NAME, listed_names
from bakeoff.schema.sample import SPEAKING_ROLES, Layout, Sample

Framework = Literal["llamafactory", "swift"]
SWIFT_NAME = "swift.yaml"

_USUAL: dict[str, dict[str, str]] = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "prompt-response": {"prompt": "question", "response": "answer"},
    "query-response": {"prompt": "query", "response": "response"},
    "text": {"prompt": "text"},
}
_CHAT = {"sharegpt": SHAREGPT, "messages": MESSAGES}
_SWIFT_ROLES = {"prompt": "query", "query": "query", "response": "response"}


def unread_by(framework: Framework | None, format_name: str, sample: Sample) -> str | None:
    """What of a sample the framework would leave out although the format holds it, or None."""
    if framework != "llamafactory":
        return None
    if any(turn.role in SPEAKING_ROLES and not turn.loss for turn in sample.turns):
        return "answers that are not learned (`loss: false`; LLaMA-Factory learns all)"
    if sample.system == "":
        return "an empty system message (LLaMA-Factory puts the template's own in its place)"
    if sample.is_text and format_name in _CHAT:
        return "a text without a question (LLaMA-Factory drops it)"
    return None


NO_SYSTEM_READ_AS = "ms-swift reads it as an empty one, and leaves out its template's own"


def misreads_no_system(framework: Framework | None, format_name: str) -> bool:
    """Whether a row without a system message reads otherwise once other rows have one.

    Each row of a table has all columns. ms-swift takes the empty text of a column for an empty
    message (``ResponsePreprocessor``); null in its place fails as soon as the first ten megabytes
    hold nothing else, for `datasets` infers the column's type from them.
    """
    return framework == "swift" and format_name not in _CHAT


def framework_files(  # noqa: PLR0913 - what was written, and where
    framework: Framework | None,
    format_name: str,
    layout: Layout,
    *,
    folder: Path,
    entries: Mapping[str, str],
    optional: Collection[str],
    overwrite: bool,
) -> dict[str, str]:
    """Contents of the framework's own files by their names.

    Args:
        framework: None: no files.
        format_name: Of the rows.
        layout: Names of their columns.
        folder: Where the rows are; an existing list of LLaMA-Factory there is added to.
        entries: Name of the dataset by split.
        optional: Roles of the optional columns that the rows have.
        overwrite: Whether entries of the same names may be replaced.

    Raises:
        UserError: The list there is something else, or has such an entry already.
    """
    if framework == "llamafactory":
        entry = _entry(format_name, layout, optional)
        added = {name: {"file_name": f"{split}.jsonl", **entry} for split, name in entries.items()}
        listed = _existing_list(folder / LIST_NAME, added, overwrite=overwrite)
        return {LIST_NAME: _json({**listed, **added})}
    if framework == "swift":
        return {SWIFT_NAME: _swift_arguments(format_name, layout, folder, tuple(entries))}
    return {}


def _entry(format_name: str, layout: Layout, optional: Collection[str]) -> dict[str, Any]:
    if format_name not in _CHAT:
        usual = {**_USUAL[format_name], **{role: role for role in optional}}
        own = {**layout.columns}
        if format_name == "query-response" and "query" in own:
            own["prompt"] = own.pop("query")
        columns = {role: own.get(role, name) for role, name in usual.items()}
        return {"formatting": "alpaca", "columns": columns}
    family = _CHAT[format_name]
    columns = {"messages": layout.columns.get("messages", family.column)}
    if "tools" in optional:
        columns["tools"] = layout.columns.get("tools", "tools")
    tags = {
        "role_tag": layout.tags.get("role", family.role_key),
        "content_tag": layout.tags.get("content", family.content_key),
        "user_tag": layout.tags.get("user", family.names["user"]),
        "assistant_tag": layout.tags.get("assistant", family.names["assistant"]),
        "observation_tag": layout.tags.get("observation", family.names["tool"]),
        "function_tag": layout.tags.get("function", family.names["tool_call"]),
        "system_tag": layout.tags.get("system", family.names["system"]),
    }
    return {"formatting": "sharegpt", "columns": columns, "tags": tags}


def _existing_list(
    path: Path, added: Collection[str], *, overwrite: bool
) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        listed = None
    if not listed_names(listed) and listed != {}:
        raise UserError(
            f"{path} is no list of LLaMA-Factory's, so nothing can be added to it",
            hint="name another folder with -o",
        )
    there = [name for name in added if name in listed]
    if there and not overwrite:
        raise UserError(
            f"{path} has an entry {', '.join(f'`{name}`' for name in there)} already",
            hint="choose another name with --name, or use --force",
        )
    return dict(listed)


def _swift_arguments(
    format_name: str, layout: Layout, folder: Path, splits: tuple[str, ...]
) -> str:
    paths = {split: (folder.resolve() / f"{split}.jsonl").as_posix() for split in splits}
    first = "train" if "train" in paths else splits[0]
    lines = [
        f"# ms-swift: swift sft {SWIFT_NAME} --model ...",
        f"dataset: {_line([paths[first]])}",
    ]
    if "validation" in paths:
        lines.append(f"val_dataset: {_line([paths['validation']])}")
    columns = _swift_columns(format_name, layout)
    if columns:
        # The argument is the text of a JSON object.
        lines.append(f"columns: {_line(_line(columns))}")
    return "\n".join(lines) + "\n"


def _swift_columns(format_name: str, layout: Layout) -> dict[str, str]:
    """ms-swift's name by ours, where they differ."""
    if format_name in _CHAT:
        ours = layout.columns.get("messages", "messages")
        return {ours: "messages"} if ours != "messages" else {}
    if format_name == "alpaca":
        # It joins instruction and input itself, and knows them by these names only.
        own = {role: layout.columns.get(role, name) for role, name in _USUAL["alpaca"].items()}
        usual = _USUAL["alpaca"]
        return {own[role]: usual[role] for role in usual if own[role] != usual[role]}
    own = {role: layout.columns.get(role, name) for role, name in _USUAL[format_name].items()}
    if format_name == "text":
        return {own["prompt"]: "response"}
    wanted = {own[role]: _SWIFT_ROLES[role] for role in own}
    system = layout.columns.get("system")
    return {**wanted, **({system: "system"} if system else {})}


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(value: object) -> str:
    # LLaMA-Factory opens the list in the machine's encoding, which on Windows is mostly not UTF-8.
    return json.dumps(value, ensure_ascii=True, indent=2) + "\n"
