"""``bakeoff compare RUN RUN...``: every run against the first one named."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.compare.comparable import notes, why_not_comparable
from bakeoff.compare.equivalence import with_equivalence
from bakeoff.compare.methods import across_seeds, seed_siblings
from bakeoff.compare.names import name_runs, named_in_text
from bakeoff.compare.samples import scores_items
from bakeoff.compare.stats import holm
from bakeoff.compare.tables import (
    FLEXIBLE_FILTER,
    Samples,
    difference_of,
    format_share,
    load_all_samples,
)
from bakeoff.compare.verdict import verdict
from bakeoff.schema.comparison import AcrossSeeds, ComparedRun, Comparison, FormatShare
from bakeoff.schema.figures import HEADLINE_FILTER, headline
from bakeoff.schema.record import Record, Score


def compare_runs(
    records: Sequence[Record],
    *,
    runs_dir: Path,
    known: Sequence[Record] = (),
    margin: float | None = None,
) -> Comparison:
    """Hold every further evaluation against the first.

    Args:
        records: evaluations; the first is the baseline.
        runs_dir: where their folders lie.
        known: every record at hand; the trainings behind the evaluations are looked up here, and
            the other seeds of the same cells.
        margin: largest difference that does not matter, between 0 and 1; None: no one asks whether
            the models are equally good.

    Raises:
        UserError: fewer than two runs, one named twice, or runs that cannot be compared; the
            message holds every reason.
    """
    if len({record.run_id for record in records}) < max(2, len(records)):
        raise UserError(
            f"expected at least two different runs, got {', '.join(r.run_id for r in records)}",
            hint="name the baseline first: bakeoff compare BASELINE RUN...",
        )
    baseline, *others = records
    _refuse_what_is_no_evaluation(records, known)
    samples = load_all_samples(records, runs_dir)
    _refuse_what_differs(baseline, others, samples)
    names = name_runs(records)
    drafts = [
        _compare(record, score, baseline, names=names, samples=samples, known=known)
        for record in others
        for score in record.scores
        if scores_items([*samples[record.run_id], *samples[baseline.run_id]], score)
    ]
    siblings = {record.run_id: seed_siblings(record, known) for record in records}
    num_seeds = {run_id: len(found) for run_id, found in siblings.items()}
    compared = _with_holm(drafts, names[baseline.run_id], num_seeds)
    if margin is not None:
        compared = with_equivalence(compared, margin)
    score = headline(baseline.scores)
    return Comparison(
        baseline_run_id=baseline.run_id,
        baseline_name=names[baseline.run_id],
        task=score.task,
        num_fewshot=score.num_fewshot,
        compared=tuple(compared),
        format_shares=tuple(_format_shares(compared, score.num_fewshot)),
        across_seeds=tuple(_across_seeds(baseline, others, siblings, names, runs_dir)),
        warnings=tuple(
            f"{names[record.run_id]}: {text}" for record in records for text in record.warnings
        ),
        holm_family=(
            _family_size(drafts, is_headline=True),
            _family_size(drafts, is_headline=False),
        ),
    )


def _across_seeds(
    baseline: Record,
    others: Sequence[Record],
    siblings: dict[str, list[Record]],
    names: dict[str, str],
    runs_dir: Path,
) -> Iterator[AcrossSeeds]:
    """Of each method once, whichever and however many of its seeds were named."""
    done: set[frozenset[str]] = set()
    for record in others:
        sides = siblings[record.run_id], siblings[baseline.run_id]
        method = frozenset(sibling.run_id for sibling in sides[0])
        if max(map(len, sides)) < 2 or method in done or baseline.run_id in method:
            continue
        done.add(method)
        found = across_seeds(
            record,
            baseline,
            headline(record.scores),
            siblings=sides,
            names=(_method(record, names), _method(baseline, names)),
            samples=load_all_samples([*sides[0], *sides[1]], runs_dir),
        )
        if found is not None:
            yield found


def _method(record: Record, names: dict[str, str]) -> str:
    """What a run is called, without its seed."""
    return re.sub(r",? seed \S+|\s*\([0-9a-f]{6}\)$", "", names[record.run_id])


def _refuse_what_is_no_evaluation(records: Sequence[Record], known: Sequence[Record]) -> None:
    for record in records:
        if record.kind == "eval":
            continue
        children = [r.run_id for r in known if r.parent_run_id == record.run_id]
        raise UserError(
            f"run {record.run_id} is a training; only evaluations have answers to compare",
            hint=f"its evaluations: {', '.join(children)}" if children else "evaluate it first",
        )


def _refuse_what_differs(baseline: Record, others: Sequence[Record], samples: Samples) -> None:
    reasons: list[str] = []
    for record in others:
        own = samples.get(record.run_id, ())
        found = why_not_comparable(baseline, record, samples.get(baseline.run_id, ()), own)
        reasons += [reason for reason in found if reason not in reasons]
    if reasons:
        raise UserError(
            "these runs cannot be compared:\n" + "\n".join(f"- {reason}" for reason in reasons),
            hint="compare evaluations of the same study, task and number of examples",
        )


def _compare(
    record: Record,
    score: Score,
    baseline: Record,
    *,
    names: dict[str, str],
    samples: Samples,
    known: Sequence[Record],
) -> ComparedRun:
    return ComparedRun(
        run_id=record.run_id,
        name=names[record.run_id],
        filter=score.filter,
        metric=score.metric,
        is_headline=score == headline(record.scores),
        difference=difference_of(score, samples[record.run_id], samples[baseline.run_id]),
        p_adjusted=None,
        verdict="",
        notes=tuple(_all_notes(baseline, record, known)),
    )


def _all_notes(a: Record, b: Record, known: Sequence[Record]) -> list[str]:
    """On the two evaluations, and on the trainings behind them where there are two."""
    trainings = {record.run_id: record for record in known if record.kind == "train"}
    parents = [trainings.get(record.parent_run_id or "") for record in (a, b)]
    found = notes(a, b)
    if parents[0] is not None and parents[1] is not None:
        found += notes(parents[0], parents[1])
    return found


def _with_holm(
    drafts: Sequence[ComparedRun], baseline_name: str, num_seeds: dict[str, int]
) -> list[ComparedRun]:
    """Correct each family, then put the verdict in words."""
    adjusted: dict[int, float | None] = {}
    for is_headline in (True, False):
        family = [i for i, draft in enumerate(drafts) if draft.is_headline is is_headline]
        raw = [drafts[i].difference.p_value for i in family]
        adjusted.update(zip(family, holm(raw), strict=True))
    finished = []
    for i, draft in enumerate(drafts):
        text = verdict(
            draft.difference,
            names=(draft.name, named_in_text(baseline_name)),
            p_adjusted=adjusted[i],
            num_tests=_family_size(drafts, is_headline=draft.is_headline),
            num_seeds=num_seeds[draft.run_id],
        )
        finished.append(draft.model_copy(update={"p_adjusted": adjusted[i], "verdict": text}))
    return finished


def _family_size(drafts: Sequence[ComparedRun], *, is_headline: bool) -> int:
    return sum(
        draft.is_headline is is_headline and draft.difference.p_value is not None
        for draft in drafts
    )


def _format_shares(compared: Sequence[ComparedRun], num_fewshot: int) -> list[FormatShare]:
    ways = {(run.run_id, run.filter): run for run in compared}
    return [
        format_share(run.name, num_fewshot, run.difference, flexible.difference)
        for run in compared
        if run.filter == HEADLINE_FILTER
        and (flexible := ways.get((run.run_id, FLEXIBLE_FILTER))) is not None
    ]
