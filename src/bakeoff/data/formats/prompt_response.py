"""prompt-response: one column with the question and one with the answer, whatever their names."""

from collections.abc import Collection, Mapping

from bakeoff.data.formats.turns import only_text, single_turn
from bakeoff.data.rows import check_row
from bakeoff.schema.recipe_subject import Columns
from bakeoff.schema.sample import Layout, Sample

_DEFAULT = ("question", "answer")
_KNOWN_PAIRS = (
    _DEFAULT,
    ("prompt", "response"),
    ("prompt", "completion"),
    ("problem", "solution"),
)
"""Names that are read without being named, where a row has exactly one of the pairs."""


class PromptResponse:
    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        prompt, response = _pair(layout, present)
        system = layout.column("system", "system")
        found = {"prompt": prompt, "response": response}
        wanted = system is not None and (system in present or "system" in layout.columns)
        return {**found, "system": str(system)} if wanted else found

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        if {"prompt", "response"} & layout.columns.keys():
            return 5
        pair = _pair(layout, row)
        if not set(pair) <= row.keys():
            return 0
        return 4 if pair == _DEFAULT else 1

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        columns = self.columns(layout, row)
        asked = check_row(
            row, Columns(prompt=columns["prompt"], response=columns["response"]), where=where
        )
        system = only_text(row, columns.get("system"), where=where)
        return single_turn(asked.prompt, asked.response, system=system)

    def unheld(self, sample: Sample) -> str | None:
        if sample.is_text:
            return "a text without a question"
        if sample.tools or any(turn.role in ("tool", "tool_call") for turn in sample.turns):
            return "calls of tools"
        if len(sample.turns) > 2:
            return "several turns"
        if sample.system == "":
            return "an empty system message (which is not the same as none)"
        return None

    def optional(self, sample: Sample) -> Collection[str]:
        return [] if sample.system is None else ["system"]

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        prompt, response = _pair(layout, ())
        question, answer = sample.turns[-2:]
        row: dict[str, object] = {prompt: question.content, response: answer.content}
        if "system" in with_optional:
            row[layout.column("system", "system") or "system"] = sample.system or ""
        return row


FORMAT = PromptResponse()


def _pair(layout: Layout, present: Collection[str]) -> tuple[str, str]:
    found = [pair for pair in _KNOWN_PAIRS if set(pair) <= set(present)]
    usual = found[0] if len(found) == 1 or _DEFAULT in found else _DEFAULT
    if layout.columns.keys() & {"prompt", "response"}:
        usual = _DEFAULT
    return (
        layout.columns.get("prompt", usual[0]),
        layout.columns.get("response", usual[1]),
    )
