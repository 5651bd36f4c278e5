"""Records and answers on disk like those of a real study: base, LoRA and full, 120 items each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.base.files import write_json_atomic, write_jsonl
from bakeoff.base.hashing import digest_text
from bakeoff.schema.record import (
    DataFacts,
    LossPoint,
    Measurement,
    PhaseCost,
    Provenance,
    Record,
    Sample,
    Score,
)

STRICT, FLEXIBLE = "strict-match", "flexible-extract"
MODEL = "builtin:smollm2-135m"


def make_provenance(**changes: Any) -> Provenance:
    values = {
        "bakeoff_version": "0.1.0",
        "git_commit": "0f3a9c1d2b4e",
        "git_dirty": False,
        "packages": {
            "python": "3.11.7",
            "torch": "2.13.0",
            "transformers": "5.23.0",
            "peft": "0.21.0",
        },
        "lock_digest": digest_text("lock"),
        "model_source": MODEL,
        "model_revision": None,
        "model_digest": digest_text("model"),
        "data_digest": digest_text("data"),
        "template_digest": digest_text("template"),
        "hardware": {
            "system": "Linux-6.1-x86_64",
            "cpu": "Intel Xeon",
            "num_usable_cpu_cores": 2,
            "host_memory_bytes": 16 * 1024**3,
            "gpus": [],
        },
        "driver": None,
        "command_line": ("bakeoff", "run", "examples/quickstart.yaml"),
        "environment": {"OMP_NUM_THREADS": "2"},
        "started_at": "2026-11-23T21:00:00Z",
        "ended_at": "2026-11-23T21:04:00Z",
    }
    return Provenance(**{**values, **changes})


def make_samples(
    right: Sequence[bool],
    *,
    flexible: Sequence[bool] | None = None,
    num_fewshot: int = 0,
    offset: int = 0,
    output: str | None = None,
) -> list[Sample]:
    """One sample an item; ``offset`` moves to other questions."""
    flexible = right if flexible is None else flexible
    return [
        _sample(offset + i, strict, loose or strict, num_fewshot, output)
        for i, (strict, loose) in enumerate(zip(right, flexible, strict=True))
    ]


def _sample(index: int, strict: bool, loose: bool, num_fewshot: int, output: str | None) -> Sample:
    a, b = 3 + index % 17, 2 + index % 11
    question = f"Lin has {a} apples and buys {b} more. How many apples does Lin have? ({index})"
    examples = "Question: What is 1 + 1?\nAnswer: 1 + 1 = 2\n#### 2\n\n" * num_fewshot
    prompt = f"{examples}Question: {question}\nAnswer:"
    said = a + b if loose else a + b + 1
    text = f" {a} + {b} = {said}\n#### {said}" if strict else f" Lin has {said} apples."
    return Sample(
        index=index,
        item_digest=digest_text(question),
        prompt_digest=digest_text(prompt),
        prompt=prompt,
        output=text if output is None else output,
        target=f"{a} + {b} = {a + b}\n#### {a + b}",
        extracted={STRICT: str(said) if strict else None, FLEXIBLE: str(said)},
        correct={f"exact_match,{STRICT}": float(strict), f"exact_match,{FLEXIBLE}": float(loose)},
        num_output_tokens=14,
        hit_token_limit=not strict and index % 3 == 0,
    )


def make_scores(
    samples: Sequence[Sample], num_fewshot: int = 0, task: str = "data"
) -> tuple[Score, ...]:
    scores = []
    for name in (STRICT, FLEXIBLE):
        value = sum(s.correct[f"exact_match,{name}"] for s in samples) / len(samples)
        scores.append(
            Score(
                task=task,
                metric="exact_match",
                filter=name,
                num_fewshot=num_fewshot,
                value=value,
                stderr=(value * (1 - value) / max(1, len(samples) - 1)) ** 0.5,
                num_samples=len(samples),
                engine="hf",
                samples_path="samples.jsonl",
            )
        )
    return tuple(scores)


def make_train(run_id: str, *, method: str = "lora", seed: int = 0, **changes: Any) -> Record:
    full = method == "full"
    rng = random.Random(seed + full)
    steps = changes.pop("num_steps", 100)
    losses = [
        LossPoint(
            step=step,
            loss=0.35 + (1.9 - 0.3 * full) * 0.94**step + rng.gauss(0, 0.06),
            learning_rate=1e-3 * (1 - step / steps),
            grad_norm=1.0,
        )
        for step in range(1, steps + 1)
    ]
    validation = [
        LossPoint(
            step=step,
            loss=0.42 + 0.03 * full + (1.85 - 0.3 * full) * 0.94**step,
            split="validation",
        )
        for step in range(0, steps + 1, max(1, steps // 4))
    ]
    lora = {} if full else {"lora_rank": 16, "lora_alpha": 32.0, "target_modules": "all-linear"}
    values: dict[str, Any] = {
        "run_id": run_id,
        "study": "quickstart",
        "kind": "train",
        "status": "finished",
        "cell": {
            "backend": "builtin",
            "method": method,
            "strategy": "single",
            "world_size": 1,
            "seed": seed,
        },
        "effective": {
            "learning_rate": 5e-5 if full else 1e-3,
            "scheduler": "cosine",
            "batch_size": 8,
            "num_epochs": 1.0,
            "max_length": 512,
            "precision": "bf16",
            "num_trained_parameters": 134_515_008 if full else 4_884_480,
            "num_total_parameters": 134_515_008 if full else 139_399_488,
            **lora,
        },
        "data": DataFacts(
            digest=digest_text("data"),
            num_examples=800,
            num_train_tokens=71_234,
            num_label_tokens=28_310,
            num_truncated=0,
            num_dropped=3,
            num_overlapping=0,
        ),
        "measurement": Measurement(
            wall_seconds=150.0 if full else 118.0,
            setup_seconds=9.1,
            train_seconds=131.5 if full else 98.2,
            save_seconds=2.2,
            step_seconds_median=1.3 if full else 0.98,
            phases=(
                PhaseCost(phase="load_model", seconds=9.1),
                PhaseCost(phase="steady_steps", seconds=131.5 if full else 98.2),
            ),
            num_steps=steps,
            num_tokens=71_234,
            tokens_per_second=541.7 if full else 725.4,
            peak_host_bytes=2_610_000_000 if full else 1_540_000_000,
            host_memory_counter="pss",
            sampling_interval_seconds=0.1,
        ),
        "losses": (*losses, *validation),
        "provenance": make_provenance(),
    }
    return Record(**{**values, **changes})


def make_eval(
    run_id: str,
    samples: Sequence[Sample],
    *,
    parent: Record | None = None,
    num_fewshot: int = 0,
    **changes: Any,
) -> Record:
    values: dict[str, Any] = {
        "run_id": run_id,
        "study": "quickstart",
        "kind": "eval",
        "status": "finished",
        "cell": parent.cell if parent else {},
        "effective": {
            "max_new_tokens": 96,
            "precision": "bf16",
            "batch_size": 16,
            "device": "cpu",
            "lm_eval_version": "0.4.13",
        },
        "data": DataFacts(digest=digest_text("data"), num_examples=len(samples), num_overlapping=0),
        "measurement": Measurement(wall_seconds=60.0, evaluate_seconds=48.0),
        "scores": make_scores(samples, num_fewshot),
        "provenance": make_provenance(),
        "parent_run_id": parent.run_id if parent else None,
    }
    return Record(**{**values, **changes})


@dataclass
class StudyOnDisk:
    """Grows a runs folder; ``records`` in the order in which they were added."""

    runs_dir: Path
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record, samples: Sequence[Sample] = ()) -> Record:
        folder = self.runs_dir / record.run_id
        folder.mkdir(parents=True)
        write_json_atomic(folder / "record.json", record.model_dump(mode="json"))
        if record.scores:
            write_jsonl(folder / "samples.jsonl", [sample.model_dump() for sample in samples])
        self.records.append(record)
        return record

    def add_model(
        self,
        name: str,
        share: float,
        *,
        flexible: float | None = None,
        parent: Record | None = None,
        num_items: int = 120,
        num_fewshot: int = 0,
    ) -> Record:
        """An evaluation with about this share right, drawn by the name."""
        rng = random.Random(f"{name}")
        draws = [rng.random() for _ in range(num_items)]
        strict = [draw < share for draw in draws]
        loose = [draw < (share if flexible is None else flexible) for draw in draws]
        samples = make_samples(strict, flexible=loose, num_fewshot=num_fewshot)
        return self.add(make_eval(name, samples, parent=parent, num_fewshot=num_fewshot), samples)


def standard_study(runs_dir: Path) -> StudyOnDisk:
    """Base 0.8 %, LoRA about 40 %, full about 35 %, one seed, no examples in the prompt."""
    study = StudyOnDisk(runs_dir)
    study.add_model("eval-base-d-0shot", 0.01, flexible=0.12)
    for method, share in (("lora", 0.42), ("full", 0.36)):
        training = study.add(make_train(f"train-builtin-{method}-s0", method=method))
        study.add_model(f"eval-{method}-d-0shot", share, flexible=share + 0.01, parent=training)
    return study
