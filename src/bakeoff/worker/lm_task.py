"""Loads one task of the harness and keeps the scored split out of its worked examples."""

import difflib
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from bakeoff.worker.failures import JobError


def load_task(name: str, task_dir: Path | None) -> tuple[Any, TaskManager]:
    """The task ``name``: from the file in ``task_dir``, or one of the harness's own.

    Returns:
        The task, and the manager that knows it: making another one costs seconds.

    Raises:
        JobError: there is none, or it is a group of several.
    """
    manager = TaskManager(include_path=task_dir, include_defaults=task_dir is None)
    if name not in manager.all_subtasks:
        raise JobError(_why_no_task(name, manager))
    return manager.load([name])["tasks"][name], manager


def keep_test_out_of_examples(task: Any, num_fewshot: int) -> int:
    """Make sure that no worked example is an item of the scored split.

    Rows of the few-shot split that ask a question of the scored split are never drawn.

    Returns:
        How many rows were left out.

    Raises:
        JobError: the task draws from the scored split itself, or too few rows remain.
    """
    if num_fewshot == 0:
        return 0
    config = task.config
    split, scored = task.fewshot_cfg.split, config.test_split or config.validation_split
    if split == scored:
        raise JobError(
            f"The task `{config.task}` would draw its worked examples from `{split}`, the split "
            "that it scores. Use `num_fewshot: 0` for it."
        )
    asked = {_normal(task.doc_to_text(doc)) for doc in task.eval_docs}
    pool = list(task.sampler.df)
    kept = [doc for doc in pool if _normal(task.doc_to_text(doc)) not in asked]
    if len(kept) < num_fewshot:
        raise JobError(
            f"{num_fewshot} worked examples are asked for, but only {len(kept)} of {len(pool)} "
            f"rows in `{split or 'the examples of the task'}` ask nothing that is scored. Lower "
            "`evaluate.num_fewshot`, or add training rows."
        )
    if len(kept) < len(pool):
        task.sampler.replace_df(kept)
    return len(pool) - len(kept)


def require_single_questions(task: Any) -> None:
    """Refuse rows with a system message or earlier turns of their own.

    The harness makes worked examples and question to turns of one chat, where they have no place.

    Raises:
        JobError: there is such a row.
    """
    if any(doc["context"] for doc in [*task.eval_docs, *task.fewshot_docs()]):
        raise JobError(
            "Some rows have a system message or earlier turns, which cannot be asked in a chat "
            "together with worked examples. Set `evaluate.num_fewshot: 0`."
        )


def _normal(question: Any) -> str:
    return " ".join(str(question).split()).casefold()


def _why_no_task(name: str, manager: Any) -> str:
    if name in manager.all_tasks:
        return f"`{name}` names several tasks of lm-evaluation-harness. Name each task itself."
    close = difflib.get_close_matches(name, manager.all_subtasks, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else "`lm_eval ls tasks` lists them all."
    return f"lm-evaluation-harness has no task `{name}`. {hint}"
