"""Loads tasks of the harness and keeps the scored split out of their worked examples."""

import contextlib
import difflib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager

from bakeoff.worker.failures import JobError

_SPLIT_FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
_SPLITS = ("train", "validation", "test", "dev")
LOCAL_TASK_DIR = Path("task")
"""In the run's folder: the file that lets `lm_eval` ask a task over local rows."""


@dataclass(frozen=True)
class Asked:
    """What one name stands for: a task, or a group or tag of several."""

    name: str
    roots: list[Any]
    """As the harness takes them."""

    tasks: dict[str, Any]
    """By name, in the order of the harness."""

    manager: TaskManager
    """Knows them: making another one costs seconds."""


def load_tasks(
    name: str,
    *,
    task_dir: Path | None = None,
    include_path: Path | None = None,
    task_data: Path | None = None,
) -> Asked:
    """What ``name`` stands for.

    Args:
        name: of a task, a group or a tag.
        task_dir: a folder with a file of the task, which is the only place to look in.
        include_path: a folder with further task files, which go before the harness's own.
        task_data: a folder with the task's rows in place of a hub's.

    Raises:
        JobError: there is none, or its rows cannot be had.
    """
    manager = TaskManager(include_path=task_dir or include_path, include_defaults=task_dir is None)
    if name not in manager.all_tasks:
        raise JobError(_why_no_task(name, manager))
    spec = name if task_data is None else _local_task(name, manager, task_data)
    with _readable_mistakes(name):
        loaded = manager.load([spec])
    groups = loaded.get("groups", {})
    roots = [groups[name]] if name in groups else list(loaded["tasks"].values())
    return Asked(name, roots, dict(loaded["tasks"]), manager)


@contextlib.contextmanager
def _readable_mistakes(name: str) -> Iterator[None]:
    """What loading fails of most: rows that cannot be fetched, packages that are missing."""
    from datasets.exceptions import DatasetsError  # type: ignore[import-untyped]

    try:
        yield
    except (ConnectionError, DatasetsError, FileNotFoundError) as error:
        raise JobError(
            f"The rows of `{name}` cannot be had: {_first_line(error)}. Without a way to the hub "
            f"name a folder with them: `evaluate.task_data: {{{name}: FOLDER}}` or `--data FOLDER`."
        ) from error
    except ImportError as error:
        raise JobError(
            f"The task `{name}` needs a package that is not installed: {_first_line(error)}."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _local_task(name: str, manager: TaskManager, folder: Path) -> str:
    """Path of a file that says what the task's own says, over the rows in ``folder``."""
    entry = manager.task_index[name]
    if name not in manager.all_subtasks or entry.yaml_path is None:
        raise JobError(f"`{name}` stands for several tasks; only a single one takes local rows.")
    files = {
        split: path
        for split in _SPLITS
        for suffix in _SPLIT_FORMATS
        if (path := folder / f"{split}{suffix}").is_file()
    }
    formats = {_SPLIT_FORMATS[path.suffix] for path in files.values()}
    if len(formats) != 1:
        raise JobError(
            f"{folder} was expected to hold `train` and `test` as .jsonl, .json, .parquet or .csv, "
            f"all of one kind; it holds {', '.join(p.name for p in files.values()) or 'neither'}."
        )
    patterns = {split: _pattern(path) for split, path in files.items()}
    config = {
        "include": str(entry.yaml_path),
        "task": name,
        "dataset_path": formats.pop(),
        "dataset_name": None,
        "dataset_kwargs": {"data_files": patterns},
    }
    LOCAL_TASK_DIR.mkdir(exist_ok=True)
    path = LOCAL_TASK_DIR / f"{name}.yaml"
    # JSON is YAML, and needs no further package here.
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return str(path.resolve())


def _pattern(path: Path) -> str:
    """A path as `datasets` reads it: with `/` everywhere, and as a pattern."""
    text = path.resolve().as_posix()
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


@contextlib.contextmanager
def own_datasets_cache(*, wanted: bool) -> Iterator[None]:
    """Keep what `datasets` makes of local rows in this folder, for as long as it is needed.

    The data of the harness's own tasks come from a hub and stay in the cache of the person.
    """
    import datasets  # type: ignore[import-untyped]

    if not wanted:
        yield
        return
    usual = datasets.config.HF_DATASETS_CACHE
    # Windows cannot delete a file that is still mapped into memory: such a rest may stay.
    with tempfile.TemporaryDirectory(
        dir=Path.cwd(), prefix=".datasets-", ignore_cleanup_errors=True
    ) as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = usual


def keep_test_out_of_examples(task: Any, num_fewshot: int) -> int:
    """Make sure that no worked example is an item of the scored split.

    Rows of the few-shot split that ask a question of the scored split are never drawn.

    Returns:
        How many rows were left out.

    Raises:
        JobError: the task draws from the scored split itself, or too few rows remain.
    """
    if num_fewshot == 0 or task.config.num_fewshot == 0 or not hasattr(task, "sampler"):
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


def _why_no_task(name: str, manager: TaskManager) -> str:
    close = difflib.get_close_matches(name, manager.all_tasks, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else "`lm_eval ls tasks` lists them all."
    return f"lm-evaluation-harness has no task `{name}`. {hint}"
