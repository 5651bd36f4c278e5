"""`bakeoff data check`: one pass over every split, then what stands between the splits."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.base.hub import Report
from bakeoff.data.inspection.columns import columns_findings
from bakeoff.data.inspection.kinds import make_finding, worst_first
from bakeoff.data.inspection.lengths import LengthChecks
from bakeoff.data.inspection.ngrams import GramTable, Match, keep_best
from bakeoff.data.inspection.pairs import NearRows, gram_finding, repeated_rows, shared_questions
from bakeoff.data.inspection.scan import Scan, scan_split
from bakeoff.data.inspection.subject import OpenedSplits
from bakeoff.data.inspection.texts import Placed, TextChecks, language_findings
from bakeoff.data.inspection.tokens import load_tokenizer
from bakeoff.data.inspection.words import Batch
from bakeoff.data.prompt import make_renderer
from bakeoff.data.spool import Spool
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.data_check import DataCheck, Finding, SplitFacts
from bakeoff.schema.recipe_subject import PromptSpec

# Held-out splits come first: what stands in them is looked for in those that follow.
_READING_ORDER = ("test", "validation", "train")


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What a recipe says about its rows, or what is usual."""

    source: str
    prompt: PromptSpec
    chat: ChatTemplate | None = None
    """The model's; None where the prompt needs none."""

    max_length: int
    overlong: str = "drop"
    allow_overlap: bool = False
    wants_pattern: bool = False
    """A recipe scores the rows by the number after `####`."""

    tokenizer_dir: Path | None = None


def check_rows(opened: OpenedSplits, settings: CheckSettings, *, report: Report) -> DataCheck:
    """Find what is wrong with a dataset.

    Args:
        opened: Its splits.
        settings: How the rows will be used.
        report: Called with rows read, the total (0: not known) and what is going on.

    Raises:
        UserError: The prompt's template or the tokenizer is broken; rows never raise.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bakeoff-check-")))
        check = _Check(settings, report)
        for split in _READING_ORDER:
            if split in opened.files:
                spool = stack.enter_context(Spool(split, folder / f"{split}.spool"))
                scan = check.begin(split, spool)
                scan_split(scan, opened.files[split], opened.layout, on_batch=check.look_at)
        columns = columns_findings(check.scans, opened.files)
        findings = worst_first([*columns, *check.findings()])
    return DataCheck(
        source=settings.source,
        tokenizer=str(settings.tokenizer_dir) if check.tokenizer else None,
        max_length=settings.max_length,
        splits={name: check.facts(name) for name in reversed(check.scans)},
        findings=findings,
        num_errors=sum(finding.severity == "error" for finding in findings),
        num_warnings=sum(finding.severity == "warning" for finding in findings),
        seconds=time.monotonic() - started,
    )


@dataclass
class _Held:
    """A split whose questions are looked for in those read after it."""

    batches: list[Batch] = field(default_factory=list)
    best: dict[str, dict[int, Match]] = field(default_factory=dict)
    """For each later split, by row of this one."""

    table: GramTable | None = None


class _Check:
    """The state of one check."""

    def __init__(self, settings: CheckSettings, report: Report) -> None:
        self.tokenizer = load_tokenizer(settings.tokenizer_dir)
        self.scans: dict[str, Scan] = {}
        self._settings = settings
        self._report = report
        self._renderer = make_renderer(settings.prompt, settings.chat)
        self._texts: dict[str, TextChecks] = {}
        self._lengths: dict[str, LengthChecks] = {}
        self._held: dict[str, _Held] = {}
        self._key_sets: dict[str, set[int]] = {}

    def begin(self, split: str, spool: Spool) -> Scan:
        for held in self._held.values():
            if held.table is None:
                held.table = GramTable(held.batches)
                held.batches.clear()
        if split != "train":
            self._held[split] = _Held()
        special = self.tokenizer.special_tokens if self.tokenizer else ()
        self._texts[split] = TextChecks(split, special)
        self._lengths[split] = LengthChecks(
            split,
            self._renderer,
            self.tokenizer,
            max_length=self._settings.max_length,
            overlong=self._settings.overlong,
        )
        self.scans[split] = Scan(split, spool)
        return self.scans[split]

    def look_at(self, scan: Scan, rows: Sequence[Placed], words: Batch) -> None:
        """All that is seen in single rows, a batch at a time."""
        for placed in rows:
            self._texts[scan.split].add(placed)
        self._lengths[scan.split].add(rows)
        if scan.split in self._held:
            self._held[scan.split].batches.append(words)
        first_row = len(scan.spool) - len(rows)
        for split, held in self._held.items():
            if split != scan.split and held.table is not None:
                wanted = self._keys_of(split)
                same = [
                    row for row in range(len(rows)) if scan.spool.keys[first_row + row] in wanted
                ]
                best = held.best.setdefault(scan.split, {})
                keep_best(best, held.table.matches(words, first_row, same))
        self._report(len(scan.spool), 0, f"checking {scan.split}")

    def findings(self) -> Iterator[Finding]:
        for split in reversed(self.scans):
            scan = self.scans[split]
            yield from scan.findings()
            yield from repeated_rows(scan)
            yield from self._lengths[split].findings()
            yield from self._texts[split].findings(wants_pattern=self._settings.wants_pattern)
        yield from self._between()
        yield from language_findings({name: text.languages for name, text in self._texts.items()})
        if self.tokenizer is not None and self.tokenizer.end_id is None:
            message = f"the tokenizer in {self._settings.tokenizer_dir} names no end of sequence"
            yield make_finding("no-end-token", message, count=1)

    def facts(self, split: str) -> SplitFacts:
        scan = self.scans[split]
        return SplitFacts(
            files=scan.files,
            row_format=", ".join(scan.formats) or None,
            columns=scan.columns,
            num_rows=len(scan.spool),
            num_bad_rows=scan.num_bad_rows,
            lengths=self._lengths[split].summary(),
        )

    def _between(self) -> Iterator[Finding]:
        for split, held in self._held.items():
            for other, best in held.best.items():
                pair = (self.scans[split], self.scans[other])
                yield from shared_questions(*pair, is_allowed=self._settings.allow_overlap)
                if held.table is not None:
                    yield from gram_finding(*pair, held.table, best)
        filled = [scan for scan in reversed(self.scans.values()) if len(scan.spool)]
        if filled:
            self._report(0, 0, "looking for near-duplicates")
            yield from NearRows(filled).findings()

    def _keys_of(self, split: str) -> set[int]:
        if split not in self._key_sets:
            self._key_sets[split] = set(self.scans[split].spool.keys)
        return self._key_sets[split]
