"""From the harness's results to our own: one sample an item, one score a metric and filter."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.worker.lm_kept import Ending

SAMPLES_FILE = "samples.jsonl"
Endings = Mapping[tuple[str | None, int | None], Ending]
_SHARED_TEXTS = ("passage_id", "passage", "article", "paragraph", "story", "document", "premise")
"""Columns of well-known tasks that hold what several questions are asked about."""

_NOTHING_EXTRACTED = "[invalid]"
"""What the harness's regex filters give when they find nothing, unless a task says otherwise."""


def merge_samples(
    harness_samples: Iterable[Mapping[str, Any]], task: Any, endings: Endings
) -> list[dict[str, Any]]:
    """One row an item, in the shape of ``bakeoff.schema.record.Sample``.

    Args:
        harness_samples: one an item and filter, as the harness logs them.
        task: the harness's task that they come from.
        endings: by task and position of the item, how its answer ended; empty when nothing was
            generated.
    """
    fallbacks, name_of_task = _fallbacks(task), task.config.task
    merged: dict[int, dict[str, Any]] = {}
    for sample in harness_samples:
        index, name = sample["doc_id"], sample["filter"]
        if index not in merged:
            merged[index] = _begin(sample, task, endings.get((name_of_task, index)))
        extracted = _extracted(sample, task)
        merged[index]["extracted"][name] = None if extracted in fallbacks[name] else extracted
        for metric in sample["metrics"]:
            if isinstance(sample[metric], (int, float)):
                merged[index]["correct"][f"{metric},{name}"] = float(sample[metric])
    return [merged[index] for index in sorted(merged)]


def write_samples(path: Path, samples: Iterable[Mapping[str, Any]]) -> None:
    """Not atomic: the result that names the file is written after it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sample in samples:
            file.write(json.dumps(sample, ensure_ascii=False) + "\n")


def make_scores(
    results: Mapping[str, Any],
    *,
    label: str,
    num_fewshot: int,
    num_samples: int,
    engine: str,
    group: str | None = None,
) -> list[dict[str, Any]]:
    """In the shape of ``bakeoff.schema.record.Score``.

    Args:
        results: the harness's results of one task: ``metric,filter`` and
            ``metric_stderr,filter`` to numbers.
        label: name of the task in the recipe.
        num_fewshot: worked examples before each question.
        num_samples: items asked.
        engine: what generated the answers.
        group: that has a score of its own, and this task within it.
    """
    scores = []
    for key, value in results.items():
        metric, comma, name = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        stderr = results.get(f"{metric}_stderr,{name}")
        scores.append(
            {
                "task": label,
                "metric": metric,
                "filter": name,
                "num_fewshot": num_fewshot,
                "value": float(value),
                "stderr": float(stderr) if isinstance(stderr, (int, float)) else None,
                "num_samples": num_samples,
                "engine": engine,
                "samples_path": SAMPLES_FILE,
                "group": group,
            }
        )
    return scores


def shares_of_endings(samples: list[dict[str, Any]]) -> dict[str, float] | None:
    """How many answers ended how; None when nothing was generated."""
    reasons = [sample["stop_reason"] for sample in samples if sample["stop_reason"] is not None]
    if not reasons:
        return None
    return {
        reason: reasons.count(reason) / len(reasons)
        for reason in ("end_token", "stop_string", "token_limit")
    }


def shares_without_answer(samples: list[dict[str, Any]]) -> dict[str, float]:
    """By filter, the share of outputs in which it found nothing."""
    names = dict.fromkeys(name for sample in samples for name in sample["extracted"])
    found = {
        name: [s["extracted"][name] for s in samples if name in s["extracted"]] for name in names
    }
    return {name: texts.count(None) / len(texts) for name, texts in found.items()}


def _begin(sample: Mapping[str, Any], task: Any, ending: Ending | None) -> dict[str, Any]:
    doc, target = sample["doc"], _as_text(sample["target"])
    prompt = _as_text(sample["arguments"][0][0])
    return {
        "index": sample["doc_id"],
        "item_digest": _digest(json.dumps([_question(doc, task), target], ensure_ascii=False)),
        "prompt_digest": _digest(prompt),
        "prompt": prompt,
        "output": _as_text(sample["resps"][0][0]) if ending else _all_responses(sample, task),
        "target": _choice(target, doc, task) or target,
        "extracted": {},
        "correct": {},
        "num_output_tokens": ending.num_tokens if ending else None,
        "hit_token_limit": ending.hit_limit if ending else None,
        "task": task.config.task,
        "num_prompt_tokens": ending.num_prompt_tokens if ending else None,
        "stop_reason": ending.stop_reason if ending else None,
        "seconds": ending.seconds if ending else None,
        "cluster": _cluster(doc),
    }


def _cluster(doc: Mapping[str, Any]) -> str | None:
    """Of a row that brings a text which others may share; ``keep_clusters`` says whether any do."""
    shared = next((doc[name] for name in _SHARED_TEXTS if doc.get(name)), None)
    return None if shared is None else _digest(_as_text(shared))[:16]


def keep_clusters(samples: list[dict[str, Any]]) -> None:
    """Where no two items share a text, none hangs together with another."""
    known = [sample["cluster"] for sample in samples]
    if None in known or len(set(known)) == len(known):
        for sample in samples:
            sample["cluster"] = None


def _extracted(sample: Mapping[str, Any], task: Any) -> str:
    """What a filter made of the answer; of choices, the likeliest one."""
    found = sample["filtered_resps"]
    if task.OUTPUT_TYPE == "multiple_choice":
        likeliest = max(range(len(found)), key=lambda index: found[index][0])
        return _choice(str(likeliest), sample["doc"], task) or _as_text(found)
    return _as_text(found[0])


def _all_responses(sample: Mapping[str, Any], task: Any) -> str:
    """Of choices, a line each: its log-probability and its text."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return _as_text(sample["resps"])
    return "\n".join(
        f"{responses[0][0]:.3f}  {_choice(str(index), sample['doc'], task) or index}"
        for index, responses in enumerate(sample["resps"])
    )


def _choice(number: str, doc: Mapping[str, Any], task: Any) -> str | None:
    """Text of the choice with that number; None: it has no number, or the task no such list."""
    if task.OUTPUT_TYPE != "multiple_choice" or not number.isdigit():
        return None
    choices = task.doc_to_choice(doc)
    return str(choices[int(number)]) if int(number) < len(choices) else None


def _question(doc: Mapping[str, Any], task: Any) -> str:
    """The question itself for our own rows, so that another template leaves the item the same."""
    own = {"prompt", "response"} <= doc.keys()
    return _as_text(doc["prompt"] if own else task.doc_to_text(doc))


def _fallbacks(task: Any) -> dict[str, set[str]]:
    """By filter, what it gives when it finds nothing."""
    filters = task.config.filter_list or [{"name": "none", "filter": []}]
    return {
        chain["name"]: {step.get("fallback", _NOTHING_EXTRACTED) for step in chain["filter"]}
        for chain in filters
    }


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
