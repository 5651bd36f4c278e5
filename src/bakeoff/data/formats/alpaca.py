"""alpaca: `instruction`, `input`, `output`, and perhaps `system` and `history`.

Read as LLaMA-Factory does (``data/converter.py``, AlpacaDatasetConverter): a non-empty `input`
follows the instruction on a line of its own, and the turns of `history` are learned too.
"""

from collections.abc import Collection, Mapping

from bakeoff.data.formats.turns import check_order, history_turns, only_text, single_turn
from bakeoff.data.mistakes import EmptyTextError
from bakeoff.data.rows import answer_text, missing_column
from bakeoff.schema.sample import Layout, Sample

_USUAL = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "system": "system",
    "history": "history",
}
_REQUIRED = ("prompt", "response")


class Alpaca:
    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        named = {role: layout.column(role, usual) for role, usual in _USUAL.items()}
        required = ("query", "response") if named["prompt"] is None else _REQUIRED
        return {
            role: name
            for role, name in named.items()
            if name is not None and (role in required or name in present or role in layout.columns)
        }

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        named = layout.columns
        # Whoever names the instruction's column does not mean to lose the input beside it.
        beside = named.get("prompt") == _USUAL["prompt"] and _USUAL["query"] in row
        if beside or {"query", "history"} & named.keys():
            return 6
        return 2 if set(self.columns(layout, row).values()) <= row.keys() else 0

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        columns = self.columns(layout, row)
        parts = [
            only_text(row, column, where=where)
            for column in self._question_columns(columns, layout, row, where)
        ]
        prompt = "\n".join(part for part in parts if part)
        if not prompt.strip():
            names = " and ".join(
                f"`{columns[role]}`" for role in ("prompt", "query") if role in columns
            )
            raise EmptyTextError(
                f"{where}: {names} are empty", hint="fill one in or take the row out"
            )
        sample = single_turn(
            prompt,
            answer_text(row, self._present(columns, "response", row, where), where=where),
            system=only_text(row, columns.get("system"), where=where),
            history=history_turns(
                row.get(columns["history"]) if "history" in columns else None,
                key=columns.get("history", ""),
                where=where,
            ),
        )
        check_order(sample.messages, key="history", where=where)
        return sample

    def _question_columns(
        self, columns: Mapping[str, str], layout: Layout, row: Mapping[str, object], where: str
    ) -> list[str]:
        needed = "prompt" if "prompt" in columns else "query"
        self._present(columns, needed, row, where)
        return [columns[role] for role in ("prompt", "query") if role in columns]

    def _present(
        self, columns: Mapping[str, str], role: str, row: Mapping[str, object], where: str
    ) -> str:
        if columns[role] not in row:
            raise missing_column(columns[role], role, present=list(row), where=where)
        return columns[role]

    def unheld(self, sample: Sample) -> str | None:
        if sample.is_text:
            return "a text without a question"
        if sample.tools or any(turn.role in ("tool", "tool_call") for turn in sample.turns):
            return "calls of tools"
        if sample.system == "":
            return "an empty system message (which is not the same as none)"
        if not all(turn.loss for turn in sample.turns[1::2]):
            return "answers that are not learned (`loss: false`)"
        return None

    def optional(self, sample: Sample) -> Collection[str]:
        found = []
        if sample.system is not None:
            found.append("system")
        if len(sample.turns) > 2:
            found.append("history")
        return found

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        *earlier, question, answer = sample.turns
        pairs = zip(earlier[::2], earlier[1::2], strict=True)
        values: dict[str, object] = {
            "prompt": question.content,
            "query": "",
            "response": answer.content,
            "system": sample.system or "",
            "history": [[asked.content, said.content] for asked, said in pairs],
        }
        wanted = ["prompt", "query", "response", *with_optional]
        return {layout.column(role, _USUAL[role]) or role: values[role] for role in wanted}


FORMAT = Alpaca()
