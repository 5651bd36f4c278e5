"""Short trainings of many shapes, whose memory predictions are held against.

A case that has finished is found again, so that a sweep can be stopped and goes on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.locks import locked
from bakeoff.runner.execute import Executor
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy, prepare_study
from bakeoff.runner.process_run import lock_of
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, TrainPlan
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store

FOLDER = "bench-fit"
"""Below the results, but no results: nothing here is reported."""

SHAPES = ((1, 256), (4, 128), (2, 384), (4, 256))
"""Rows a forward pass and tokens a row."""

_NUM_STEPS = 3
_FRAME = 12
"""Tokens of a row beside its filling, no fewer."""


@dataclass(frozen=True)
class Case:
    """One training and what it measured."""

    name: str
    study: PreparedStudy
    plan: TrainPlan
    record: Record


def run_cases(
    workspace: Workspace,
    observer: Observer,
    *,
    model: str,
    backends: tuple[str, ...],
    methods: tuple[str, ...] = ("lora", "full"),
    shapes: tuple[tuple[int, int], ...] = SHAPES,
) -> Iterator[Case]:
    """Every backend, method and shape, with and without recomputed activations.

    Raises:
        UserError: the model or an environment cannot be had.
    """
    folder = workspace.runs_dir / FOLDER
    with locked(lock_of(folder), lambda: observer.note("waiting for another `bench fit`")):
        for rows, tokens in shapes:
            recipe = _write_recipe(folder / "cases", rows, tokens, model=model)
            overrides = [f"backend=[{','.join(backends)}]", f"method=[{','.join(methods)}]"]
            yield from _run_recipe(recipe, overrides, workspace, observer)


def _run_recipe(
    recipe: Path, overrides: list[str], workspace: Workspace, observer: Observer
) -> Iterator[Case]:
    study = prepare_study(recipe, overrides, cache_dir=workspace.cache_dir)
    store = Store(workspace.runs_dir / FOLDER)
    executor = Executor(
        study.plan.study, study.base_dir, workspace=workspace, store=store, observer=observer
    )
    steps = [step for step in study.plan.steps if not isinstance(step, EvalPlan)]
    for index, step in enumerate(steps, start=1):
        observer.step_started(step, Position(index, len(steps)))
        if not isinstance(step, TrainPlan):
            executor.bring(step)
            observer.step_finished(step, None, reused=False)
            continue
        record = store.record_of(step)
        reused = record is not None and record.status == "finished"
        if record is None or not reused:
            record = executor.train(step)
            store.save_record(record)
        observer.step_finished(step, record, reused=reused)
        yield Case(_case_name(step), study, step, record)


def _case_name(step: TrainPlan) -> str:
    train = step.train
    again = ", checkpointing" if train.gradient_checkpointing else ""
    return f"{step.backend} {step.method} {train.batch_size} x {train.max_length}{again}"


def _write_recipe(folder: Path, rows: int, tokens: int, *, model: str) -> Path:
    """Rows of nearly as many tokens as may be, so that every step is of the same size."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"rows-{tokens}.jsonl"
    half = (tokens - _FRAME) // 2
    row = {"question": " the" * half, "answer": "the" + " the" * (half - 1)}
    # The number tells the rows apart: equal questions in training and test are refused.
    _write_rows(data, [{**row, "question": f"{n % 10}{row['question']}"} for n in range(10)])
    _write_rows(folder / "test.jsonl", [{"question": "what", "answer": "that"}])
    path = folder / f"fit-{rows}x{tokens}.yaml"
    settings = {
        "name": f"fit-{rows}x{tokens}",
        "model": {"source": model},
        "data": {
            "source": str(folder),
            "train": data.name,
            "test": "test.jsonl",
            "num_validation": 0,
        },
        "device": "cpu",
        "train": {
            "batch_size": rows,
            "max_length": tokens,
            "max_steps": _NUM_STEPS,
            "gradient_checkpointing": [False, True],
            "save_every": 0,
            "learning_rate": 1e-5,
        },
        "evaluate": {"base": False},
    }
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
