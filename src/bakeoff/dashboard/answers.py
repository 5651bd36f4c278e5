"""Answers of an evaluation: right, wrong, flipped against another's, found by their words."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from bakeoff.dashboard.rows_file import Kept, RowsFile
from bakeoff.schema.figures import headline
from bakeoff.schema.record import Record, Sample

Which = Literal["", "right", "wrong", "cut", "gained", "lost", "changed"]
"""`gained`: right here, wrong in the other run; `lost`: the other way round."""

WHICH: dict[str, Which] = {name: name for name in get_args(Which)}
FLIPS = ("gained", "lost", "changed")


class Noted(NamedTuple):
    """What is kept of a line."""

    item: str
    correct: Mapping[str, float]
    hit_limit: bool


def _note(line: bytes) -> Noted:
    row: dict[str, Any] = json.loads(line)
    return Noted(str(row["item_digest"]), dict(row["correct"]), bool(row.get("hit_token_limit")))


_files = Kept(_note)


@dataclass(frozen=True)
class Answer:
    """One item, as this run answered it and, if it is held against another, as that one did."""

    number: int
    sample: Sample
    is_right: bool
    other: Sample | None
    other_is_right: bool | None


@dataclass(frozen=True)
class Answers:
    shown: tuple[Answer, ...]
    total: int
    """That fit what was asked for."""

    counts: Mapping[str, int]
    """Of the whole evaluation, by `which`."""

    page: int
    size: int
    key: str
    """Of `Sample.correct`: the way of scoring that decides."""

    @property
    def num_pages(self) -> int:
        return max(1, -(-self.total // self.size))


@dataclass(frozen=True, kw_only=True)
class AnswersAsked:
    which: Which = ""
    words: str = ""
    page: int = 1
    size: int = 20


def find_answers(
    runs_dir: Path, record: Record, other: Record | None, asked: AnswersAsked
) -> Answers:
    """A page of answers.

    Raises:
        FileNotFoundError: they were deleted.
    """
    key = _key(record)
    ours = _of(runs_dir, record)
    theirs = _of(runs_dir, other) if other is not None else None
    pairs = _pairs(ours, theirs)
    kinds = [_kinds(ours, theirs, pairs, number, key) for number in range(len(ours))]
    counts = Counter(kind for found in kinds for kind in found)
    wanted = [i for i, found in enumerate(kinds) if not asked.which or asked.which in found]
    if asked.words.strip():
        wanted = _with_words(ours, theirs, pairs, wanted, asked.words)
    begin = (asked.page - 1) * asked.size
    numbers = wanted[begin : begin + asked.size]
    return Answers(
        shown=tuple(_answers(ours, theirs, pairs, numbers, key)),
        total=len(wanted),
        counts={**counts, "": len(ours)},
        page=asked.page,
        size=asked.size,
        key=key,
    )


def _of(runs_dir: Path, record: Record) -> RowsFile[Noted]:
    return _files.of(runs_dir / record.run_id / headline(record.scores).samples_path)


def _key(record: Record) -> str:
    score = headline(record.scores)
    return f"{score.metric},{score.filter}"


def _pairs(ours: RowsFile[Noted], theirs: RowsFile[Noted] | None) -> Mapping[int, int]:
    """Line of the other file by ours; equal questions are told apart by their order."""
    if theirs is None:
        return {}
    places = {key: number for number, key in enumerate(_keyed(theirs))}
    return {i: places[key] for i, key in enumerate(_keyed(ours)) if key in places}


def _keyed(found: RowsFile[Noted]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for noted in found.facts:
        keys.append((noted.item, seen[noted.item]))
        seen[noted.item] += 1
    return keys


def _kinds(
    ours: RowsFile[Noted],
    theirs: RowsFile[Noted] | None,
    pairs: Mapping[int, int],
    number: int,
    key: str,
) -> list[str]:
    noted = ours.facts[number]
    right = noted.correct.get(key, 0.0) > 0.5
    found = ["right" if right else "wrong"]
    if noted.hit_limit:
        found.append("cut")
    if theirs is not None and number in pairs:
        other = theirs.facts[pairs[number]].correct.get(key, 0.0) > 0.5
        if right != other:
            found += ["changed", "gained" if right else "lost"]
    return found


def _with_words(
    ours: RowsFile[Noted],
    theirs: RowsFile[Noted] | None,
    pairs: Mapping[int, int],
    numbers: Sequence[int],
    words: str,
) -> list[int]:
    """Those with all the words, in the prompt, the target or an output, in any case."""
    needles = [json.dumps(word, ensure_ascii=False)[1:-1].lower() for word in words.split()]
    texts = dict(zip(numbers, ours.lines(list(numbers)), strict=True))
    others: dict[int, bytes] = {}
    if theirs is not None:
        paired = [number for number in numbers if number in pairs]
        lines = theirs.lines([pairs[number] for number in paired])
        others = dict(zip(paired, lines, strict=True))
    return [
        number
        for number in numbers
        if all(
            needle in (texts[number] + others.get(number, b"")).decode("utf-8", "replace").lower()
            for needle in needles
        )
    ]


def _answers(
    ours: RowsFile[Noted],
    theirs: RowsFile[Noted] | None,
    pairs: Mapping[int, int],
    numbers: list[int],
    key: str,
) -> list[Answer]:
    samples = [Sample.model_validate_json(line) for line in ours.lines(numbers)]
    others: dict[int, Sample] = {}
    if theirs is not None:
        paired = [number for number in numbers if number in pairs]
        lines = theirs.lines([pairs[number] for number in paired])
        others = {
            number: Sample.model_validate_json(line)
            for number, line in zip(paired, lines, strict=True)
        }
    return [
        Answer(
            number,
            sample,
            sample.correct.get(key, 0.0) > 0.5,
            others.get(number),
            others[number].correct.get(key, 0.0) > 0.5 if number in others else None,
        )
        for number, sample in zip(numbers, samples, strict=True)
    ]
