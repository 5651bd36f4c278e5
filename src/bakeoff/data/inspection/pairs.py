"""Rows that repeat or contradict each other, inside a split and between two."""

from collections.abc import Iterator, Sequence
from itertools import islice

from bakeoff.data.inspection.kinds import NUM_EXAMPLES, excerpt, make_finding
from bakeoff.data.inspection.minhash import MIN_WORDS
from bakeoff.data.inspection.near import NearDuplicates, Pair, find_near_duplicates
from bakeoff.data.inspection.ngrams import GramTable, Match
from bakeoff.data.inspection.scan import Scan
from bakeoff.schema.data_check import Example, Finding, Severity


def pair_example(
    left: Scan, left_row: int, right: Scan, right_row: int, *, share: float | None = None
) -> Example:
    """Two rows with their places and questions."""
    return Example(
        place=left.spool.place(left_row),
        text=excerpt(left.spool.row(left_row).asked),
        other_place=right.spool.place(right_row),
        other_text=excerpt(right.spool.row(right_row).asked),
        share=share,
    )


def repeated_rows(scan: Scan) -> Iterator[Finding]:
    """Rows that stand in the split more than once, and questions with several answers."""
    first_by_row: dict[tuple[int, int], int] = {}
    first_by_question: dict[int, int] = {}
    repeats: list[tuple[int, int]] = []
    contradictions: list[tuple[int, int]] = []
    for row, (question, response) in enumerate(zip(scan.spool.keys, scan.responses, strict=True)):
        first = first_by_question.setdefault(question, row)
        if first != row and scan.finals[first] != scan.finals[row]:
            contradictions.append((row, first))
        if first_by_row.setdefault((question, response), row) != row:
            repeats.append((row, first_by_row[question, response]))
    if repeats:
        yield _pairs_finding(
            "duplicate",
            "rows that repeat an earlier one (case, white space and width aside): "
            f"{len(repeats):,}",
            scan,
            repeats,
        )
    if contradictions:
        yield _pairs_finding(
            "contradiction",
            f"rows that give another answer to an earlier question: {len(contradictions):,}",
            scan,
            contradictions,
        )


def _pairs_finding(
    code: str, message: str, scan: Scan, pairs: Sequence[tuple[int, int]]
) -> Finding:
    examples = []
    for row, first in pairs[:NUM_EXAMPLES]:
        example = pair_example(scan, row, scan, first)
        if code == "contradiction":
            texts = [_with_answer(scan, index) for index in (row, first)]
            example = example.model_copy(update={"text": texts[0], "other_text": texts[1]})
        examples.append(example)
    return make_finding(
        code,
        message,
        count=len(pairs),
        out_of=len(scan.spool),
        split=scan.split,
        examples=examples,
    )


def _with_answer(scan: Scan, index: int) -> str:
    row = scan.spool.row(index)
    answer = " ".join(row.response.split())
    return f"{excerpt(row.asked)[:80]} -> {answer[-60:]}"


def shared_questions(held: Scan, other: Scan, *, is_allowed: bool) -> Iterator[Finding]:
    """Questions of ``held`` that stand in ``other`` too: letter for letter, or nearly."""
    first_by_key: dict[int, int] = {}
    wanted = set(held.spool.keys)
    for row, key in enumerate(other.spool.keys):
        if key in wanted:
            first_by_key.setdefault(key, row)
    pairs = [
        (row, first_by_key[key]) for row, key in enumerate(held.spool.keys) if key in first_by_key
    ]
    is_same = [
        held.spool.row(row).asked == other.spool.row(other_row).asked for row, other_row in pairs
    ]
    # A run takes questions of validation out of training by itself.
    harmless = is_allowed or {held.split, other.split} == {"train", "validation"}
    severity: Severity | None = "warning" if harmless else None
    for code, wants_same, how in (
        ("contamination-exact", True, ", letter for letter"),
        ("contamination-normalised", False, " but for case, white space or width"),
    ):
        chosen = [pair for pair, same in zip(pairs, is_same, strict=True) if same is wants_same]
        if chosen:
            yield make_finding(
                code,
                f"questions of {held.split} that stand in {other.split} too{how}: {len(chosen):,}",
                count=len(chosen),
                out_of=len(held.spool),
                split=f"{held.split}, {other.split}",
                examples=[
                    pair_example(held, row, other, other_row)
                    for row, other_row in chosen[:NUM_EXAMPLES]
                ],
                severity=severity,
            )


def gram_finding(
    held: Scan, other: Scan, table: GramTable, best: dict[int, Match]
) -> Iterator[Finding]:
    """Questions of ``held`` that share long runs of words with ``other``, most alike first.

    Questions that stand in ``other`` as they are do not count again.
    """
    wanted = {held.spool.keys[row] for row in best}
    known = {key for key in other.spool.keys if key in wanted}
    best = {row: match for row, match in best.items() if held.spool.keys[row] not in known}
    if not best:
        return
    ordered = sorted(best.items(), key=lambda item: (-item[1].share, item[0]))
    mostly = sum(match.share >= 0.5 for match in best.values())
    yield make_finding(
        "contamination-ngram",
        f"questions of {held.split} that share a run of {table.size} words with {other.split}: "
        f"{len(best):,} (at least half of their runs: {mostly:,})",
        count=len(best),
        out_of=len(held.spool),
        split=f"{held.split}, {other.split}",
        examples=[
            pair_example(held, row, other, match.other_row, share=match.share)
            for row, match in islice(ordered, NUM_EXAMPLES)
        ],
    )


class NearRows:
    """Questions of all splits that are nearly the same; each question takes part once."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        import numpy as np  # noqa: PLC0415 - slow to import

        self._scans = scans
        keys = np.concatenate([np.array(scan.spool.keys, dtype=np.uint64) for scan in scans])
        groups = np.repeat(np.arange(len(scans)), [len(scan.spool) for scan in scans])
        rows = np.concatenate([np.arange(len(scan.spool)) for scan in scans])
        lengths = np.concatenate([part for scan in scans for part in scan.num_words])
        _, first = np.unique(keys, return_index=True)
        chosen = np.sort(first[lengths[first] >= MIN_WORDS])
        bands = np.concatenate([part for scan in scans for part in scan.bands])[chosen]
        self._groups, self._rows = groups[chosen], rows[chosen]
        self.found: NearDuplicates = find_near_duplicates(bands, self._groups, self._text)

    def place(self, number: int) -> tuple[Scan, int]:
        """The split and row of a text's number."""
        return self._scans[int(self._groups[number])], int(self._rows[number])

    def findings(self) -> Iterator[Finding]:
        for scan in self._scans:
            pairs = [pair for pair in self.found.inside if self.place(pair.one)[0] is scan]
            if pairs:
                yield self._finding(
                    "near-duplicate",
                    f"questions of {scan.split} nearly the same as another: {len(pairs):,}",
                    pairs,
                    split=scan.split,
                )
        across: dict[str, list[Pair]] = {}
        for pair in self.found.across.values():
            scans = (self.place(pair.one)[0], self.place(pair.other)[0])
            across.setdefault(f"{scans[0].split}, {scans[1].split}", []).append(pair)
        for split, pairs in across.items():
            held, _, other = split.partition(", ")
            message = f"questions of {held} nearly the same as one of {other}: {len(pairs):,}"
            yield self._finding("contamination-near", message, pairs, split=split)

    def _finding(self, code: str, message: str, pairs: list[Pair], *, split: str) -> Finding:
        note = "" if self.found.is_complete else " (at least: not all candidates were compared)"
        likest = sorted(pairs, key=lambda pair: -pair.similarity)[:NUM_EXAMPLES]
        scan = self.place(pairs[0].one)[0]
        return make_finding(
            code,
            message + note,
            count=len(pairs),
            out_of=len(scan.spool),
            split=split,
            examples=[
                pair_example(*self.place(pair.one), *self.place(pair.other), share=pair.similarity)
                for pair in likest
            ],
        )

    def _text(self, number: int) -> str:
        scan, row = self.place(number)
        return scan.spool.row(row).asked
