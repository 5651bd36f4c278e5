"""query-response: `query`, `response`, and perhaps `system` and `history`, as ms-swift has them.

With ``Layout.swift_names`` every name that ms-swift understands is understood, after
ResponsePreprocessor in ``swift/dataset/preprocessor/core.py``. Where two columns could be the same
one, ms-swift renames neither and loses the text; here that is an error that names both.
"""

import ast
from collections.abc import Collection, Mapping

from bakeoff.base.errors import UserError
from bakeoff.data.formats import alpaca
from bakeoff.data.formats.turns import history_turns, only_text, single_turn
from bakeoff.data.rows import answer_text, checked_text, missing_column
from bakeoff.schema.sample import Layout, Sample

_USUAL = {"query": "query", "response": "response", "system": "system", "history": "history"}
_REQUIRED = ("query", "response")
_SWIFT_NAMES = {
    "query": ("query", "prompt", "input", "instruction", "question", "problem"),
    "response": (
        *("response", "answer", "output", "targets", "target", "answer_key", "answers"),
        *("solution", "text", "completion", "content"),
    ),
    "system": ("system", "system_prompt"),
    "history": ("history",),
}


class QueryResponse:
    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        found = {role: _candidates(role, layout, present) for role in _USUAL}
        return {
            role: names[0] if names else _USUAL[role]
            for role, names in found.items()
            if names or role in _REQUIRED
        }

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        if not all(_candidates(role, layout, row) for role in _REQUIRED):
            return 0
        if set(_REQUIRED) <= row.keys():
            return 3
        return 1 if layout.swift_names else 0

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        for role in _USUAL:
            _require_one(role, _candidates(role, layout, row), where)
        columns = self.columns(layout, row)
        for role in _REQUIRED:
            if columns[role] not in row:
                raise missing_column(columns[role], role, present=list(row), where=where)
        history = columns.get("history", "history")
        return single_turn(
            checked_text(row[columns["query"]], columns["query"], where=where),
            answer_text(row, columns["response"], where=where),
            system=only_text(row, columns.get("system"), where=where),
            history=history_turns(_unpacked(row.get(history)), key=history, where=where),
        )

    def unheld(self, sample: Sample) -> str | None:
        return alpaca.FORMAT.unheld(sample)

    def optional(self, sample: Sample) -> Collection[str]:
        return alpaca.FORMAT.optional(sample)

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        names = Layout(columns={"prompt": "query", "response": "response", **_named(layout)})
        row = alpaca.FORMAT.write(sample, names, with_optional=with_optional)
        del row["input"]
        return row


FORMAT = QueryResponse()


def _named(layout: Layout) -> dict[str, str]:
    named = {role: name for role, name in layout.columns.items() if role in _USUAL}
    if "query" in named:
        named["prompt"] = named.pop("query")
    return named


def _candidates(role: str, layout: Layout, present: Collection[str]) -> list[str]:
    """Columns that could be it; a named one is the only one."""
    named = layout.columns.get(role)
    if named is None and role == "query":
        named = layout.columns.get("prompt")
    if named is not None:
        return [named]
    usual = _SWIFT_NAMES[role] if layout.swift_names else (_USUAL[role],)
    by_lower = {name.lower(): name for name in present}
    return [by_lower[name] for name in usual if name in by_lower]


def _require_one(role: str, names: list[str], where: str) -> None:
    if len(names) > 1:
        listed = " and ".join(f"`{name}`" for name in names)
        raise UserError(
            f"{where}: {listed} could all be the {role}",
            hint=f"name the one that is meant, e.g. `data.columns.{role}: {names[0]}` (ms-swift "
            "would take none of them and lose the text)",
        )


def _unpacked(history: object) -> object:
    """A history that is kept as the text of a list."""
    if not isinstance(history, str) or not history.strip():
        return history
    try:
        return ast.literal_eval(history)
    except (ValueError, SyntaxError):
        return history
