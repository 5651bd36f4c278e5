"""A task file for lm-evaluation-harness over any dataset of questions and answers."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.evals.answer_patterns import AnswerPattern
from bakeoff.evals.task_file import END_MARKERS, data_pattern, to_yaml
from bakeoff.schema.recipe_evaluate import DEFAULT_MAX_NEW_TOKENS

_FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
_USUAL_COLUMNS = (
    ("question", "answer"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("problem", "solution"),
    ("input", "target"),
    ("query", "response"),
)


@dataclass(frozen=True, kw_only=True)
class OwnTask:
    """What is to be written."""

    name: str
    columns: tuple[str, str]
    """Of question and answer."""

    pattern: AnswerPattern
    text: str
    """Jinja over `prompt`: how a question is put."""

    num_fewshot: int
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS


def choose_columns(
    row: Mapping[str, object], prompt: str | None, answer: str | None
) -> tuple[str, str]:
    """Those that a person named, or the first pair of usual names that the row has.

    Raises:
        UserError: there are none, or they hold no text.
    """
    usual = ((prompt or q, answer or a) for q, a in _USUAL_COLUMNS)
    found = next((pair for pair in usual if all(name in row for name in pair)), None)
    if found is None or not all(isinstance(row[name], str | int | float) for name in found):
        raise UserError(
            f"no columns with a question and its answer; the rows have {', '.join(map(repr, row))}",
            hint="name them: --prompt-column NAME --answer-column NAME; rows of messages become "
            "two columns with `bakeoff data convert SOURCE --to prompt-response -o FOLDER`",
        )
    return found


def local_dataset(files: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """What a task file says of rows on this machine.

    Raises:
        UserError: `datasets` cannot read them by a name of its own.
    """
    formats = {_FORMATS.get(path.suffix) for paths in files.values() for path in paths}
    if len(formats) != 1 or None in formats:
        names = ", ".join(str(path) for paths in files.values() for path in paths)
        raise UserError(
            f"expected .jsonl, .json, .parquet or .csv files of one kind, got {names}",
            hint="`bakeoff data convert SOURCE --to prompt-response -o FOLDER` makes such files",
        )
    patterns = {split: [data_pattern(path) for path in paths] for split, paths in files.items()}
    return {
        "dataset_path": formats.pop(),
        "dataset_kwargs": {
            "data_files": {s: p[0] if len(p) == 1 else p for s, p in patterns.items()}
        },
    }


def render_own_task(task: OwnTask, dataset: Mapping[str, Any], splits: Sequence[str]) -> str:
    """YAML of the task.

    Args:
        task: what it is.
        dataset: `dataset_path` and what belongs to it.
        splits: that the dataset has, of train, validation and test.

    Raises:
        UserError: there is no split to score, or none to draw worked examples from.
    """
    scored = next((name for name in ("test", "validation") if name in splits), None)
    if scored is None:
        raise UserError(
            f"the dataset has only {', '.join(splits)}, and rows that may be trained on are not "
            "scored",
            hint="`bakeoff data split SOURCE -o FOLDER` makes a test split; then name FOLDER",
        )
    examples = next((name for name in ("train", "validation") if name in splits), None)
    examples = None if examples == scored else examples
    if task.num_fewshot and examples is None:
        raise UserError(
            f"{task.num_fewshot} worked examples are asked for, but every split is scored",
            hint="--num-fewshot 0, or a dataset with a training split",
        )
    prompt_column, answer_column = task.columns
    config = {
        "task": task.name,
        **dataset,
        "output_type": "generate_until",
        **({"training_split": "train"} if "train" in splits else {}),
        **({"validation_split": "validation"} if "validation" in splits else {}),
        **({"test_split": "test"} if scored == "test" else {}),
        **({"fewshot_split": examples} if examples else {}),
        # A task that says 0 is never asked with more; one that says nothing starts at 0.
        **({"num_fewshot": task.num_fewshot} if task.num_fewshot else {}),
        "doc_to_text": re.sub(r"\bprompt\b(?=[^{}]*\}\})", prompt_column, task.text),
        **_targets(task, answer_column),
        "target_delimiter": " ",
        "generation_kwargs": {
            "until": [*_opening(task.text), *END_MARKERS],
            "do_sample": False,
            "temperature": 0.0,
            "max_gen_toks": task.max_new_tokens,
        },
        **task.pattern.scoring,
        "metadata": {"version": 1.0},
    }
    return _header(task, examples) + to_yaml(config)


def _targets(task: OwnTask, answer_column: str) -> dict[str, Any]:
    """The answer alone is the target; a worked example shows the whole response."""
    pattern = task.pattern.target_pattern
    if pattern is None:
        return {"doc_to_target": answer_column}
    # JSON's escapes are read by Jinja as they are written.
    whole = json.dumps(rf"^[\s\S]*?{pattern}[\s\S]*$", ensure_ascii=False)
    extracted = f"{{{{ {answer_column} | regex_replace({whole}, {json.dumps(chr(92) + '1')}) }}}}"
    return {"doc_to_target": extracted, "fewshot_config": {"doc_to_target": answer_column}}


def _opening(text: str) -> list[str]:
    opening = re.split(r"\{[{%#]", text, maxsplit=1)[0].strip()
    return [opening] if opening else []


def _header(task: OwnTask, examples: str | None) -> str:
    return (
        f"# Written by `bakeoff eval init`: questions in `{task.columns[0]}`, answers in "
        f"`{task.columns[1]}`.\n"
        f"# An answer is {task.pattern.name}; worked examples come from {examples or 'nowhere'}.\n"
        f"# Ask: bakeoff eval MODEL --tasks {task.name} --include-path FOLDER_OF_THIS_FILE\n"
        f"# By hand: lm_eval --tasks {task.name} --include_path FOLDER_OF_THIS_FILE --model hf\n"
    )
