"""From the harness's results to our own: one sample an item, one score a metric and filter."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bakeoff.worker.lm_batches import Ending

SAMPLES_FILE = "samples.jsonl"
_NOTHING_EXTRACTED = "[invalid]"
"""What the harness's regex filters give when they find nothing, unless a task says otherwise."""


def merge_samples(
    harness_samples: Iterable[Mapping[str, Any]], task: Any, endings: Mapping[int, Ending]
) -> list[dict[str, Any]]:
    """One row an item, in the shape of ``bakeoff.schema.record.Sample``.

    Args:
        harness_samples: one an item and filter, as the harness logs them.
        task: the harness's task that they come from.
        endings: by position of the item, how its answer ended; empty when nothing was generated.
    """
    fallbacks = _fallbacks(task)
    merged: dict[int, dict[str, Any]] = {}
    for sample in harness_samples:
        index, name = sample["doc_id"], sample["filter"]
        if index not in merged:
            merged[index] = _begin(sample, task, endings.get(index))
        extracted = _as_text(sample["filtered_resps"][0])
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
    results: Mapping[str, Any], *, label: str, num_fewshot: int, num_samples: int, engine: str
) -> list[dict[str, Any]]:
    """In the shape of ``bakeoff.schema.record.Score``.

    Args:
        results: the harness's results of one task: ``metric,filter`` and
            ``metric_stderr,filter`` to numbers.
        label: name of the task in the recipe.
        num_fewshot: worked examples before each question.
        num_samples: items asked.
        engine: what generated the answers.
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
            }
        )
    return scores


def share_at_limit(samples: list[dict[str, Any]]) -> float | None:
    """Share of answers that the token limit cut; None when nothing was generated."""
    known = [
        sample["hit_token_limit"] for sample in samples if sample["hit_token_limit"] is not None
    ]
    return sum(known) / len(known) if known else None


def shares_without_answer(samples: list[dict[str, Any]]) -> dict[str, float]:
    """By filter, the share of outputs in which it found nothing."""
    return {
        name: sum(sample["extracted"][name] is None for sample in samples) / len(samples)
        for name in samples[0]["extracted"]
    }


def _begin(sample: Mapping[str, Any], task: Any, ending: Ending | None) -> dict[str, Any]:
    doc, target = sample["doc"], _as_text(sample["target"])
    prompt = _as_text(sample["arguments"][0][0])
    return {
        "index": sample["doc_id"],
        "item_digest": _digest(json.dumps([_question(doc, task), target], ensure_ascii=False)),
        "prompt_digest": _digest(prompt),
        "prompt": prompt,
        "output": _as_text(sample["resps"][0][0] if ending else sample["resps"]),
        "target": target,
        "extracted": {},
        "correct": {},
        "num_output_tokens": ending.num_tokens if ending else None,
        "hit_token_limit": ending.hit_limit if ending else None,
    }


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
