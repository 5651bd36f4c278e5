"""How long the rows of a training are: counted, known, or assumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bakeoff.base.files import iter_jsonl, read_json, write_json_atomic
from bakeoff.data.inspection.tokens import load_tokenizer
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import DataStep, TrainPlan


@dataclass(frozen=True)
class RowFacts:
    """Tokens of the training rows, those that are dropped left out."""

    num_rows: int
    mean: float
    long: int
    """Nine of ten rows are no longer."""

    longest: int
    label_share: float
    told: str
    """Where this is from."""


_KNOWN = {
    "openai/gsm8k": RowFacts(
        7473, 190.4, 285, 543, 0.66, "GSM8K as a tokenizer that splits numbers into digits sees it"
    ),
}
"""Public data that many recipes name: counted once, so that an answer needs no download."""


def counted_rows(
    plan: TrainPlan, model_dir: Path | None, workspace: Workspace, *, may_count: bool
) -> RowFacts | None:
    """Of the prepared rows, counted once and remembered; None if rows or tokenizer are not here.

    Args:
        plan: The training.
        model_dir: With the tokenizer; None: it is not here.
        workspace: Where things lie.
        may_count: Whether rows may be tokenised now, which takes seconds.
    """
    name = f"rows-{plan.data_id}-{plan.model_id}-{plan.train.loss_on}.json"
    place = workspace.cache_dir / "fit" / name
    if not place.is_file():
        rows = workspace.data_dir(plan.data_id)
        tokenizer = load_tokenizer(model_dir) if may_count else None
        if tokenizer is None or not (rows / "manifest.json").is_file():
            return None
        row = partial(tokenizer.row, loss_on=plan.train.loss_on, max_length=10**9, overlong="drop")
        made = [row(raw["segments"]) for raw in iter_jsonl(rows / "train.jsonl")]
        counts = [(len(one.token_ids), sum(label >= 0 for label in one.labels)) for one in made]
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(place, counts)
    kept = [count for count in read_json(place) if count[0] <= plan.train.max_length]
    return _facts(kept) if kept else None


def known_rows(step: DataStep, plan: TrainPlan) -> RowFacts | None:
    """Of well-known data that is not here; None if it is not known, or rows would be dropped."""
    known = _KNOWN.get(step.data.source)
    if known is None or known.longest > plan.train.max_length:
        return None
    num_rows = known.num_rows - (0 if step.data.validation else step.data.num_validation)
    wanted = min(num_rows, step.data.num_train or num_rows)
    return RowFacts(wanted, known.mean, known.long, known.longest, known.label_share, known.told)


def _facts(counts: Sequence[Sequence[int]]) -> RowFacts:
    lengths = sorted(tokens for tokens, _ in counts)
    total = sum(lengths)
    return RowFacts(
        num_rows=len(lengths),
        mean=total / len(lengths),
        long=lengths[int(0.9 * (len(lengths) - 1))],
        longest=lengths[-1],
        label_share=sum(labels for _, labels in counts) / total,
        told="counted in the prepared rows",
    )


@dataclass(frozen=True)
class LargestStep:
    """The rows of the step that needs most."""

    rows: tuple[tuple[int, int], ...]
    """Tokens and label tokens; one pass, or two where passes are accumulated."""

    tokens: int
    """A row, on average over a pass (padding counts)."""

    label_share: float
    told: str


def largest_step(plan: TrainPlan, facts: RowFacts | None, *, packs: bool) -> LargestStep:
    """The longest row with its company.

    Where rows are filled up to the longest, the company is as long; where they are packed, it is
    taken as long as the longest of ten rows.
    """
    size = plan.train.batch_size
    passes = min(2, plan.train.gradient_accumulation)
    if facts is None:
        tokens = plan.train.max_length
        told = f"rows of `train.max_length` ({tokens}) tokens: the real ones are not here yet"
        labels = tokens - 1 if plan.train.loss_on == "all" else tokens // 2
        told += "" if plan.train.loss_on == "all" else ", half of them taken as labels"
        return LargestStep(((tokens, labels),) * size * passes, tokens, labels / tokens, told)
    is_even = facts.mean > 0.99 * facts.longest
    company = facts.long if packs else facts.longest - (0 if is_even else 1)
    made = [facts.longest, *[max(2, company)] * (size - 1)] * passes
    rows = tuple((tokens, max(1, round(tokens * facts.label_share))) for tokens in made)
    mean = round(sum(made) / len(made)) if packs else facts.longest
    told = f"longest row {facts.longest} tokens, mean {facts.mean:.0f}: {facts.told}"
    return LargestStep(rows, mean, facts.label_share, told)
