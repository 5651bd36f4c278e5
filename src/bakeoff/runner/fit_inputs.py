"""What a prediction reads: the model's shape, the rows' lengths, and what is free here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from bakeoff import models
from bakeoff.base.files import iter_jsonl, read_json, write_json_atomic
from bakeoff.base.process import capture
from bakeoff.data.inspection.tokens import load_tokenizer
from bakeoff.predict.device import Device, replace_memory
from bakeoff.predict.gpus import GPUS, match_device_name
from bakeoff.predict.shape import known_shape, shape_of_config
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import ModelStep, TrainPlan
from bakeoff.schema.prediction import ModelShape

_MIB = 1024**2
_QUERY = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free",
    "--format=csv,noheader,nounits",
)


@dataclass(frozen=True)
class Lengths:
    """Tokens of the training rows, those that are dropped left out."""

    tokens: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def label_share(self) -> float:
        return sum(self.labels) / max(1, sum(self.tokens))

    def within(self, max_length: int) -> "Lengths":
        kept = [(t, n) for t, n in zip(self.tokens, self.labels, strict=True) if t <= max_length]
        return Lengths(tuple(t for t, _ in kept), tuple(n for _, n in kept))


def shape_of_step(step: ModelStep, study: PreparedStudy, workspace: Workspace) -> ModelShape | None:
    """From the model's files if they are here, else from the table of well-known models."""
    folder = folder_of(step, study, workspace)
    if folder is not None and (folder / "config.json").is_file():
        return shape_of_config(read_json(folder / "config.json"), name=step.model.source)
    return known_shape(step.model.source.removeprefix("builtin:"))


def folder_of(step: ModelStep, study: PreparedStudy, workspace: Workspace) -> Path | None:
    return models.locate(step.model, base_dir=study.base_dir, cache_dir=workspace.cache_dir)


def lengths_of(
    plan: TrainPlan, study: PreparedStudy, workspace: Workspace, *, may_count: bool = True
) -> Lengths | None:
    """Of the prepared rows, counted once and remembered; None if rows or tokenizer are not here.

    Args:
        plan: The training.
        study: Its study.
        workspace: Where things lie.
        may_count: Whether rows may be tokenised now, which takes seconds.
    """
    place = (
        workspace.cache_dir / "fit" / f"{plan.data_id}-{plan.model_id}-{plan.train.loss_on}.json"
    )
    if place.is_file():
        known = read_json(place)
        return Lengths(tuple(known["tokens"]), tuple(known["labels"])).within(plan.train.max_length)
    rows = workspace.data_dir(plan.data_id) / "train.jsonl"
    step = next(s for s in study.plan.steps if isinstance(s, ModelStep) and s.id == plan.model_id)
    tokenizer = load_tokenizer(folder_of(step, study, workspace))
    if not may_count or tokenizer is None or not (rows.parent / "manifest.json").is_file():
        return None
    row = partial(tokenizer.row, loss_on=plan.train.loss_on, max_length=10**9, overlong="drop")
    made = [row(raw["segments"]) for raw in iter_jsonl(rows)]
    found = Lengths(
        tuple(len(one.token_ids) for one in made),
        tuple(sum(label >= 0 for label in one.labels) for one in made),
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(place, {"tokens": found.tokens, "labels": found.labels})
    return found.within(plan.train.max_length)


@dataclass(frozen=True)
class LargestStep:
    """The rows of the step that needs most."""

    rows: tuple[tuple[int, int], ...]
    """Tokens and label tokens; one pass, or two where passes are accumulated."""

    tokens: int
    """A row, on average over a pass (padding counts)."""

    label_share: float
    told: str


def largest_step(plan: TrainPlan, lengths: Lengths | None, *, packs: bool) -> LargestStep:
    """The longest row with its company.

    Where rows are filled up to the longest, the company is as long; where they are packed, it is
    taken as long as the longest of ten rows.
    """
    size = plan.train.batch_size
    passes = min(2, plan.train.gradient_accumulation)
    if lengths is None:
        tokens = plan.train.max_length
        told = f"rows of `train.max_length` ({tokens}) tokens: the real ones are not here yet"
        labels = tokens - 1 if plan.train.loss_on == "all" else tokens // 2
        told += "" if plan.train.loss_on == "all" else ", half of them taken as labels"
        return LargestStep(((tokens, labels),) * size * passes, tokens, labels / tokens, told)
    ordered = sorted(lengths.tokens)
    longest = ordered[-1]
    long = ordered[int(0.9 * (len(ordered) - 1))] if packs else longest - (ordered[0] < longest)
    share = lengths.label_share
    made = [longest, *[max(2, long)] * (size - 1)] * passes
    rows = tuple((tokens, max(1, round(tokens * share))) for tokens in made)
    mean = round(sum(made) / len(made)) if packs else longest
    told = f"the longest row has {longest} tokens, as counted in the prepared rows"
    return LargestStep(rows, mean, share, told)


def device_here(wanted: str) -> Device:
    """The machine at hand, as a recipe's ``device`` asks for it."""
    gpus = [] if wanted == "cpu" else gpus_here()
    if gpus:
        name, total, free = gpus[0]
        kind = match_device_name(name) or GPUS["rtx4090-24gb"]
        gpu = replace_memory(kind, total).model_copy(update={"title": name})
        return Device(title=name, gpu=gpu, limit_bytes=free, limit_is=f"free on {name} now")
    free = psutil.virtual_memory().available
    return Device(title="CPU", gpu=None, limit_bytes=free, limit_is="free host memory now")


def gpus_here() -> Sequence[tuple[str, int, int]]:
    """Name, total and free bytes of each GPU that the driver lists; empty where there is none."""
    text = capture(_QUERY, cwd=Path.cwd())
    found = []
    for line in (text or "").splitlines():
        name, total, free = (part.strip() for part in line.rsplit(",", 2))
        if total.isdigit() and free.isdigit():
            found.append((name, int(total) * _MIB, int(free) * _MIB))
    return found
