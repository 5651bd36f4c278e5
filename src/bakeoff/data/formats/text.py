"""text: one column of plain text, all of which is learned; it cannot be asked, so never scored."""

from collections.abc import Collection, Mapping

from bakeoff.data.formats.turns import speak
from bakeoff.data.rows import checked_text, missing_column
from bakeoff.schema.sample import Layout, Sample

_USUAL = "text"


class Text:
    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        return {"text": layout.columns.get("text", _USUAL)}

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        if "text" in layout.columns:
            return 6
        return 1 if set(row) == {_USUAL} else 0

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        column = self.columns(layout, row)["text"]
        if column not in row:
            raise missing_column(column, "text", present=list(row), where=where)
        return Sample((speak("assistant", checked_text(row[column], column, where=where)),))

    def unheld(self, sample: Sample) -> str | None:
        return None if sample.is_text else "a question beside its answer"

    def optional(self, sample: Sample) -> Collection[str]:
        return ()

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        return {layout.columns.get("text", _USUAL): sample.messages[-1].content}


FORMAT = Text()
