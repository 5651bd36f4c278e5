"""A store as years of studies would leave it: real documents, made-up figures."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.files import write_json_atomic
from bakeoff.base.hashing import digest_text
from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name
from bakeoff.schema.record import LossPoint, Measurement, Provenance, Record, Sample, Score
from bakeoff.schema.study import Study
from bakeoff.store.runs import RECORD, Store

_STRICT = "exact_match,strict-match"
_STARTED = "2026-01-01T00:00:00Z"
_RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3)
_SEEDS = 5
_TRAININGS = 2 * len(_RATES) * _SEEDS
RUNS_A_STUDY = 2 * _TRAININGS + 1


@dataclass(frozen=True, kw_only=True)
class StoreSize:
    num_runs: int
    num_samples: int
    """Scored answers of all evaluations together."""

    num_losses: int
    """Steps of a training."""


def make_store(
    folder: Path, size: StoreSize, say: Callable[[str], None]
) -> list[tuple[str, list[str]]]:
    """Write the records, answers and studies; what is there already is kept.

    Returns:
        Each study's name with the ids of its runs.
    """
    num_studies = math.ceil(size.num_runs / RUNS_A_STUDY)
    num_items = math.ceil(size.num_samples / (num_studies * (_TRAININGS + 1)))
    answers = _Answers(num_items)
    made = []
    for number in range(num_studies):
        study = _study(number)
        if not (folder / "studies" / study.name / "study.json").is_file():
            for record in _records(study, size.num_losses, num_items):
                _leave(folder, record, answers)
            Store(folder).save_study(study)
        made.append((study.name, [run_name(step) for step in study.runs]))
        if number % 10 == 9:
            say(f"{number + 1} of {num_studies} studies made")
    return made


def _study(number: int) -> Study:
    name = f"study-{number:03d}"
    tree: dict[str, Any] = {
        "name": name,
        "model": f"made-up/model-{number:03d}",
        "data": f"made-up/data-{number:03d}",
        "method": ["lora", "full"],
        "seed": list(range(_SEEDS)),
        "train": {"learning_rate": list(_RATES)},
    }
    prints = Fingerprints(of_model=lambda spec: spec.source, of_data=lambda spec: spec.source)
    return Study(
        name=name,
        plan=make_plan(expand(tree), prints),
        recipe_path=f"{name}.yaml",
        recipe_text=json.dumps(tree),
        overrides=(),
        command_line=("bakeoff", "run", f"{name}.yaml"),
        started_at=f"2026-01-{number % 28 + 1:02d}T{number % 24:02d}:00:00Z",
    )


def _records(study: Study, num_losses: int, num_items: int) -> Iterator[Record]:
    trainings = {step.id: step for step in study.runs if isinstance(step, TrainPlan)}
    for number, step in enumerate(study.runs):
        if isinstance(step, TrainPlan):
            yield _training(study, step, number, num_losses)
        else:
            parent = trainings.get(step.train_id or "")
            yield _evaluation(study, step, parent, number, num_items)


def _training(study: Study, step: TrainPlan, number: int, num_losses: int) -> Record:
    losses = tuple(
        LossPoint(
            step=i,
            loss=0.4 + 1.5 * math.exp(-i / 40) + 0.05 * math.sin(i * (number + 3)),
            learning_rate=1e-3 * (1 - i / num_losses),
            grad_norm=1 + 0.5 * math.sin(i),
        )
        for i in range(1, num_losses + 1)
    )
    return Record(
        run_id=run_name(step),
        study=study.name,
        kind="train",
        status="failed" if number % 97 == 96 else "finished",
        cell=step.axes,
        effective={**step.train.model_dump(), "method": step.method, "seed": step.seed},
        data=None,
        measurement=Measurement(
            wall_seconds=100.0 + number,
            train_seconds=90.0 + number,
            tokens_per_second=700.0 - number,
            num_steps=num_losses,
            peak_host_bytes=2_000_000_000 + 10_000_000 * number,
        ),
        losses=losses,
        provenance=_provenance(study, number),
        error="made up to have a failure" if number % 97 == 96 else None,
    )


def _evaluation(
    study: Study, step: EvalPlan, parent: TrainPlan | None, number: int, num_items: int
) -> Record:
    right = _num_right(number, num_items)
    share = right / num_items
    score = Score(
        task="data",
        metric="exact_match",
        filter="strict-match",
        num_fewshot=step.num_fewshot,
        value=share,
        stderr=(share * (1 - share) / max(1, num_items - 1)) ** 0.5,
        num_samples=num_items,
        engine="hf",
        samples_path="samples.jsonl",
    )
    return Record(
        run_id=run_name(step),
        study=study.name,
        kind="eval",
        status="finished",
        cell=step.axes,
        effective={"max_new_tokens": 256, "batch_size": 16, "limit": None},
        data=None,
        measurement=Measurement(wall_seconds=60.0 + number, evaluate_seconds=50.0 + number),
        scores=(score,),
        provenance=_provenance(study, number),
        parent_run_id=run_name(parent) if parent is not None else None,
    )


def _num_right(number: int, num_items: int) -> int:
    return num_items * (5 + number % 60) // 100


def _provenance(study: Study, number: int) -> Provenance:
    minute, second = divmod(number, 60)
    return Provenance(
        bakeoff_version="0", git_commit=None, git_dirty=None, packages={"torch": "2"},
        lock_digest=None, model_source=f"made-up/model-{study.name[-3:]}", model_revision=None,
        model_digest=None, data_digest=None, template_digest=None, hardware={"cpu": "made up"},
        driver=None, command_line=study.command_line, environment={}, started_at=_STARTED,
        ended_at=f"{study.started_at[:13]}:{minute:02d}:{second:02d}Z",
    )  # fmt: skip


class _Answers:
    """Lines of answers, right and wrong, made once and written many times."""

    def __init__(self, num_items: int) -> None:
        self._lines = [
            [_answer(i, right=right) for i in range(num_items)] for right in (False, True)
        ]

    def write(self, path: Path, number: int, right: int) -> None:
        """Another ``right`` of them for each number."""
        wrong, good = self._lines
        total = len(wrong)
        chosen = (good if (i * 7 + number) % total < right else wrong for i in range(total))
        path.write_bytes(b"".join(lines[i] for i, lines in enumerate(chosen)))


def _answer(index: int, *, right: bool) -> bytes:
    question = (
        f"Question: Lin buys {index} apples a day for a week, gives a third of them away and eats "
        "two of the rest. How many apples has Lin left, when half of the others are sold?\nAnswer:"
    )
    said = f" {index} * 7 = {7 * index}\nA third is {7 * index // 3}.\n#### {index if right else 0}"
    sample = Sample(
        index=index,
        item_digest=digest_text(question),
        prompt_digest=digest_text(question),
        prompt=question,
        output=said,
        target=f"#### {index}",
        extracted={"strict-match": str(index if right else 0)},
        correct={_STRICT: float(right)},
        num_output_tokens=40,
        hit_token_limit=index % 50 == 0,
    )
    return (json.dumps(sample.model_dump(mode="json"), ensure_ascii=False) + "\n").encode()


def _leave(folder: Path, record: Record, answers: _Answers) -> None:
    run_dir = folder / record.run_id
    run_dir.mkdir(parents=True, exist_ok=True)
    if record.scores:
        number = int(record.provenance.ended_at[14:16]) * 60 + int(
            record.provenance.ended_at[17:19]
        )
        score = record.scores[0]
        answers.write(run_dir / score.samples_path, number, round(score.value * score.num_samples))
    write_json_atomic(run_dir / RECORD, record.model_dump(mode="json"))
