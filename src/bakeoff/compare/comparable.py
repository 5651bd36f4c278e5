"""Whether two evaluations can be held against each other, and what to keep in mind if they can.

A difference is worth nothing when something else than the model differs. What would falsify it is a
reason to refuse; what a reader should know is a note.
"""

from collections.abc import Sequence
from typing import Any

from bakeoff.compare.samples import by_item, paired
from bakeoff.schema.record import Record, Sample

_KINDS = {"train": "a training", "eval": "an evaluation"}
_SAME_SETTINGS = {
    "precision": "number format",
    "dtype": "number format",
    "max_new_tokens": "limit of new tokens",
    "task_version": "version of the task",
}
"""Effective settings of an evaluation that change its answers, in words."""

_NOTED_SETTINGS = {
    "batch_size": "batch size",
    "device": "device",
    "lm_eval_version": "version of the harness",
    "precision": "number format",
    "num_epochs": "number of passes over the data",
    "max_steps": "limit of steps",
    "max_length": "length limit",
    "loss_on": "tokens that are learned",
}
_WORK_SETTINGS = {
    "num_steps": "number of steps",
    "rows_per_step": "number of rows a step",
    "weight_dtype": "number format of the weights",
    "trained_dtype": "number format of what is trained",
    "optimizer_dtype": "number format of the optimiser's moments",
    "autocast": "number format that is computed in",
    "gradient_checkpointing": "use of gradient checkpointing",
    "device": "device",
}
"""Effective settings of a training that change what it costs, in words."""


def why_not_comparable(
    a: Record, b: Record, samples_a: Sequence[Sample], samples_b: Sequence[Sample]
) -> list[str]:
    """Every reason against comparing, each a sentence with both values; empty: go ahead."""
    basic = _other_kind_or_unfinished(a, b)
    if basic:
        return basic
    task_reasons = _other_task(a, b)
    reasons = [*task_reasons, *_other_engine_settings(a, b), *_other_items(samples_a, samples_b)]
    # Another task or other examples change every prompt: saying so once is enough.
    if not task_reasons:
        reasons += _other_prompts(samples_a, samples_b)
    return reasons


def _other_kind_or_unfinished(a: Record, b: Record) -> list[str]:
    reasons = []
    if a.kind != b.kind:
        reasons.append(
            f"Run {a.run_id} is {_KINDS[a.kind]}, run {b.run_id} is {_KINDS[b.kind]}; "
            "only evaluations have answers to compare."
        )
    elif a.kind == "train":
        reasons.append(
            f"Runs {a.run_id} and {b.run_id} are trainings; only evaluations have answers to "
            "compare."
        )
    for record in (a, b):
        if record.status != "finished":
            status = record.status.replace("_", " ")
            reasons.append(f"Run {record.run_id} did not finish ({status}).")
        elif record.kind == "eval" and not record.scores:
            reasons.append(f"Run {record.run_id} has no scores.")
    return reasons


def _other_task(a: Record, b: Record) -> list[str]:
    reasons = []
    for field, words in (("task", "task"), ("num_fewshot", "number of examples in the prompt")):
        ours, theirs = ({getattr(score, field) for score in record.scores} for record in (a, b))
        if ours != theirs:
            reasons.append(_sentence(a, b, words, _listed(ours), _listed(theirs)))
    ours, theirs = ({(s.metric, s.filter) for s in record.scores} for record in (a, b))
    if not ours & theirs:
        named = [_listed(f"{metric} by {name}" for metric, name in way) for way in (ours, theirs)]
        reasons.append(_sentence(a, b, "way of scoring", *named))
    return reasons


def _other_engine_settings(a: Record, b: Record) -> list[str]:
    engines = [_listed({score.engine for score in record.scores}) for record in (a, b)]
    reasons = [] if engines[0] == engines[1] else [_sentence(a, b, "engine", *engines)]
    for key, words in _SAME_SETTINGS.items():
        ours, theirs = a.effective.get(key), b.effective.get(key)
        # Unknown is not different: an older record may not have said.
        if None not in (ours, theirs) and ours != theirs:
            reasons.append(_sentence(a, b, words, ours, theirs))
    return reasons


def _other_items(a: Sequence[Sample], b: Sequence[Sample]) -> list[str]:
    ours, theirs = by_item(a).keys(), by_item(b).keys()
    shared = len(ours & theirs)
    if ours == theirs:
        return []
    return [
        f"The test items differ: {shared} in common, {len(ours) - shared} only in the first "
        f"({len(ours)} items), {len(theirs) - shared} only in the second ({len(theirs)} items)."
    ]


def _other_prompts(a: Sequence[Sample], b: Sequence[Sample]) -> list[str]:
    pairs = paired(a, b)
    other = sum(x.prompt_digest != y.prompt_digest for x, y in pairs)
    if not other:
        return []
    return [
        f"The prompts differ for {other} of the {len(pairs)} items in common: the two models were "
        "not asked in the same words."
    ]


def notes(a: Record, b: Record) -> list[str]:
    """What a reader should know although the two may be compared; for two runs of one kind."""
    found = []
    for key, words in _NOTED_SETTINGS.items():
        ours, theirs = a.effective.get(key), b.effective.get(key)
        if None not in (ours, theirs) and ours != theirs:
            found.append(_sentence(a, b, words, ours, theirs))
    if a.kind == "train":
        found += [
            _sentence(a, b, words, ours, theirs)
            for words, ours, theirs in other_work(a, b)
            if words not in _NOTED_SETTINGS.values()
        ]
    hardware = [_device(record) for record in (a, b)]
    if hardware[0] != hardware[1]:
        found.append(_sentence(a, b, "hardware", *hardware))
    return found


def other_work(a: Record, b: Record) -> list[tuple[str, Any, Any]]:
    """Why two trainings' times and memory are not of the same work: (what, of ``a``, of ``b``)."""
    found: list[tuple[str, Any, Any]] = []
    for key, words in _WORK_SETTINGS.items():
        known = key in a.effective and key in b.effective
        if known and a.effective[key] != b.effective[key]:
            found.append((words, a.effective[key], b.effective[key]))
    passes, trained = (
        [read(record) for record in (a, b)] for read in (_tokens_of_a_pass, _tokens_trained_on)
    )
    for words, (ours, theirs) in (
        ("number of training tokens", passes),
        ("number of tokens trained on", trained),
    ):
        if None not in (ours, theirs) and ours != theirs:
            found.append((words, ours, theirs))
    return found


def _tokens_of_a_pass(record: Record) -> int | None:
    return record.data.num_train_tokens if record.data else None


def _tokens_trained_on(record: Record) -> int | None:
    return record.measurement.num_tokens if record.measurement else None


def same_model(a: Record, b: Record) -> bool:
    """Whether two runs start from the same weights, wherever these lay."""
    ours, theirs = a.provenance, b.provenance
    if ours.model_digest is None or theirs.model_digest is None:
        return ours.model_source == theirs.model_source
    return ours.model_digest == theirs.model_digest


def _device(record: Record) -> str:
    hardware = record.provenance.hardware
    gpus = hardware.get("gpus") or []
    return ", ".join(map(str, gpus)) or str(hardware.get("cpu") or "not known")


def _listed(values: Any) -> str:
    return ", ".join(sorted(map(str, values)))


def _sentence(a: Record, b: Record, words: str, ours: Any, theirs: Any) -> str:
    return f"The {words} differs: {ours} in {a.run_id}, {theirs} in {b.run_id}."
