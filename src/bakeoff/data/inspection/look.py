"""`bakeoff data inspect`: what rows look like, and what a training makes of them."""

import contextlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.hub import Report
from bakeoff.data.formats.reading import RowReader
from bakeoff.data.inspection.lengths import LengthChecks
from bakeoff.data.inspection.subject import OpenedSplits
from bakeoff.data.inspection.texts import Placed
from bakeoff.data.inspection.tokens import load_tokenizer
from bakeoff.data.inspection.tolerant import BadRow, read_tolerantly
from bakeoff.data.prompt import make_renderer
from bakeoff.data.sources import RowsFile
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.data_inspection import (
    Bin,
    ColumnFacts,
    DataInspection,
    Sample,
    Segment,
    SplitSize,
)
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.schema.sample import Layout

_NUM_BINS = 12
_BATCH_ROWS = 500
_ROUND_WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000, 10_000)


@dataclass(frozen=True, kw_only=True)
class InspectSettings:
    """How the rows would be trained on."""

    source: str
    prompt: PromptSpec
    chat: ChatTemplate | None = None
    """The model's; None where the prompt needs none."""

    train: TrainSpec
    num_shown: int
    tokenizer_dir: Path | None = None


@dataclass
class _Column:
    types: Counter[str] = field(default_factory=Counter)
    num_filled: int = 0
    longest: int | None = None

    def add(self, value: object) -> None:
        self.types[_type_name(value)] += 1
        self.num_filled += value is not None and value not in ("", [], {})
        if isinstance(value, str):
            self.num_filled -= bool(value) and not value.strip()
            self.longest = max(self.longest or 0, len(value))


def inspect_rows(
    opened: OpenedSplits, settings: InspectSettings, *, report: Report
) -> DataInspection:
    """Look at every row once; rows, lengths and samples are those of the training split.

    Raises:
        UserError: The prompt's template or the tokenizer is broken.
    """
    look = _Look(settings, opened.layout)
    shown = "train" if "train" in opened.files else next(iter(opened.files))
    for split, files in opened.files.items():
        for file in files:
            report(look.num_rows, 0, f"reading {file.label}")
            look.read(split, file, is_shown=split == shown)
    look.finish()
    look.bad[shown] += look.lengths.num_not_rendered
    look.sizes[shown] -= look.lengths.num_not_rendered
    tokenizer = look.tokenizer
    return DataInspection(
        source=settings.source,
        splits={
            split: SplitSize(
                files=tuple(file.label for file in files),
                num_rows=look.sizes[split],
                num_bad_rows=look.bad[split],
            )
            for split, files in opened.files.items()
        },
        columns=look.columns_facts(),
        shown_split=shown,
        first_rows=tuple(look.first_rows),
        length_unit="tokens" if tokenizer else "estimated tokens",
        lengths=histogram(look.lengths.lengths),
        max_length=settings.train.max_length,
        num_too_long=sum(length > settings.train.max_length for length in look.lengths.lengths),
        tokenizer=str(settings.tokenizer_dir) if tokenizer else None,
        end_token=tokenizer.end_token if tokenizer else None,
        samples=tuple(look.samples),
    )


class _Look:
    """What one pass over all splits gathers."""

    def __init__(self, settings: InspectSettings, layout: Layout) -> None:
        self.tokenizer = load_tokenizer(settings.tokenizer_dir)
        self.sizes: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.first_rows: list[dict[str, Any]] = []
        self.samples: list[Sample] = []
        self.num_rows = 0
        self._settings = settings
        self._layout = layout
        self._roles: dict[str, str] = {}
        self._found: dict[str, _Column] = {}
        self._renderer = make_renderer(settings.prompt, settings.chat)
        self._batch: list[Placed] = []
        self.lengths = LengthChecks(
            "train",
            self._renderer,
            self.tokenizer,
            max_length=settings.train.max_length,
            overlong=settings.train.overlong,
        )

    def read(self, split: str, file: RowsFile, *, is_shown: bool) -> None:
        reader = RowReader(file.layout or self._layout)
        for number, value in read_tolerantly(file, every_column=True):
            self.num_rows += 1
            place = f"{file.label}, {file.unit} {number}"
            if isinstance(value, dict):
                self._note_columns(value)
                if is_shown and len(self.first_rows) < self._settings.num_shown:
                    self.first_rows.append(value)
            row = None
            if not isinstance(value, BadRow):
                with contextlib.suppress(UserError):
                    row = reader.row(value, where=place)
            if row is None:
                self.bad[split] += 1
                continue
            self._roles.update({name: role for role, name in reader.columns(value).items()})
            self.sizes[split] += 1
            if is_shown:
                self._add(Placed(place, row))

    def finish(self) -> None:
        if self._batch:
            self.lengths.add(self._batch)
            self._batch = []

    def columns_facts(self) -> tuple[ColumnFacts, ...]:
        return tuple(
            ColumnFacts(
                name=name,
                role=self._roles.get(name),
                types=dict(column.types.most_common()),
                num_filled=column.num_filled,
                num_rows=self.num_rows,
                longest=column.longest,
            )
            for name, column in self._found.items()
        )

    def _note_columns(self, row: dict[str, object]) -> None:
        for name, value in row.items():
            self._found.setdefault(str(name), _Column()).add(value)

    def _add(self, placed: Placed) -> None:
        if len(self.samples) < self._settings.num_shown:
            with contextlib.suppress(UserError):  # counted with the unusable rows in the end
                self.samples.append(self._sample(placed))
        self._batch.append(placed)
        if len(self._batch) == _BATCH_ROWS:
            self.finish()

    def _sample(self, placed: Placed) -> Sample:
        train = self._settings.train
        segments = self._renderer.render(placed.row).segments
        made = None
        if self.tokenizer is not None:
            made = self.tokenizer.row(
                segments,
                loss_on=train.loss_on,
                max_length=train.max_length,
                overlong=train.overlong,
            )
        learns_all = train.loss_on == "all"
        return Sample(
            place=placed.place,
            segments=tuple(
                Segment(text=str(part["text"]), learned=bool(part["loss"]) or learns_all)
                for part in segments
            ),
            token_ids=tuple(made.token_ids) if made else None,
            labels=tuple(made.labels) if made else None,
            num_cut=made.num_cut if made else None,
            is_dropped=made is not None and len(made.token_ids) > train.max_length,
        )


def histogram(lengths: "array[int]") -> tuple[Bin, ...]:
    """About a dozen bins of a round width, from 0 to the longest; none without rows."""
    if not lengths:
        return ()
    longest = max(lengths)
    width = next(
        (width for width in _ROUND_WIDTHS if width * _NUM_BINS > longest), longest // _NUM_BINS + 1
    )
    counts = Counter(length // width for length in lengths)
    return tuple(_bins(counts, width, longest // width))


def _bins(counts: Counter[int], width: int, last: int) -> Iterator[Bin]:
    for index in range(last + 1):
        yield Bin(start=index * width, end=(index + 1) * width, count=counts[index])


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true/false"
    names = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)
