"""The task definition that lets lm-evaluation-harness ask our own rows.

It says what the harness's own ``gsm8k`` task (version 3.0, ``lm_eval/tasks/gsm8k/gsm8k.yaml``)
says, for the columns of our files: the same rows give the same prompts, the same extracted answers
and the same scores. The file works by hand too:
``lm_eval --tasks bakeoff_data --include_path FOLDER ...``.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from bakeoff.schema.recipe_subject import PromptSpec

TASK_NAME = "bakeoff_data"
TASK_VERSION = 1.0
"""Raise it when a change here can change a score."""

END_MARKERS = ("</s>", "<|im_end|>")
_CONTEXT = "{{context | default('', true)}}"
"""A row's system message and earlier turns, rendered when the rows were prepared; mostly none."""

_HEADER = """\
# Written by bakeoff: the rows that it prepared, asked as lm-evaluation-harness asks `gsm8k`.
# By hand: lm_eval --tasks bakeoff_data --include_path FOLDER_OF_THIS_FILE --model hf ...
"""


def render_task_file(
    *,
    data_dir: Path,
    prompt: PromptSpec,
    num_fewshot: int,
    generation: Mapping[str, Any],
    has_validation: bool = False,
    asked_split: Literal["test", "validation"] = "test",
) -> str:
    """YAML of the task ``bakeoff_data`` over the splits in ``data_dir``.

    The harness scores the test split unless told otherwise; the validation split is a split of its
    own, so that whoever scores it by hand does not see the test rows.

    Args:
        data_dir: absolute; the paths in the file hold wherever the file lies.
        has_validation: whether there are validation rows.
        asked_split: which rows are scored.
        prompt: how a row is asked; the training renders it with the same template.
        num_fewshot: worked examples before each question, drawn from ``train.jsonl``.
        generation: in the harness's words: `max_gen_toks`, the longest answer in tokens, and what
            else is not to be as usual.
    """
    splits = ("train", *(["validation"] if has_validation else []), "test")
    task = {
        "task": TASK_NAME,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {split: data_pattern(data_dir / f"{split}.jsonl") for split in splits}
        },
        "output_type": "generate_until",
        "training_split": "train",
        **({"validation_split": "validation"} if has_validation else {}),
        "fewshot_split": "train",
        "test_split": asked_split,
        "num_fewshot": num_fewshot,
        "doc_to_text": _question(prompt, num_fewshot),
        # The bare column name: a template's result that looks like a list would become one.
        "doc_to_target": "response",
        "target_delimiter": prompt.separator,
        "generation_kwargs": {
            "until": stop_strings(prompt),
            "do_sample": False,
            "temperature": 0.0,
            **generation,
        },
        "repeats": 1,
        **gsm8k_scoring(),
        "metadata": {"version": TASK_VERSION},
    }
    return _HEADER + to_yaml(task)


def asks_by_chat_template(prompt: PromptSpec, *, own: bool, num_fewshot: int) -> bool:
    """Whether the harness is to put the question into the chat template.

    Our own rows bring their question as it was rendered for training; only worked examples, which
    the harness draws, have to be put before it as turns.
    """
    return not prompt.is_raw and not (own and num_fewshot == 0)


def _question(prompt: PromptSpec, num_fewshot: int) -> str:
    if prompt.is_raw:
        return _CONTEXT + prompt.text
    if asks_by_chat_template(prompt, own=True, num_fewshot=num_fewshot):
        return prompt.text
    # The bare column name, as for the target below.
    return "asked"


def stop_strings(prompt: PromptSpec) -> list[str]:
    """What ends an answer: the words that open the next question, and two end-of-turn markers.

    A model that goes on to invent the next question starts it as the prompt starts, which for the
    default prompt is ``Question:``, the very string at which the harness's ``gsm8k`` stops. In a
    chat the template's own marks stand before a question.
    """
    opening = re.split(r"\{[{%#]", prompt.text, maxsplit=1)[0].strip() if prompt.is_raw else ""
    return [*([opening] if opening else []), *END_MARKERS]


def data_pattern(path: Path) -> str:
    """A path as `datasets` reads it: with `/` everywhere, and as a pattern."""
    return re.sub(r"([*?[])", r"[\1]", path.as_posix())


def gsm8k_scoring() -> dict[str, Any]:
    """Filters and metric of the harness's ``gsm8k``: the number after ``####``, the last number."""
    return {
        "filter_list": [
            {
                "name": "strict-match",
                "filter": [
                    {"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"},
                    {"function": "take_first"},
                ],
            },
            {
                "name": "flexible-extract",
                "filter": [
                    {
                        "function": "regex",
                        "group_select": -1,
                        "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
                    },
                    {"function": "take_first"},
                ],
            },
        ],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "ignore_punctuation": False,
                "regexes_to_ignore": [",", r"\$", r"(?s).*#### ", r"\.$"],
            }
        ],
    }


def to_yaml(value: dict[str, Any]) -> str:
    """In the order of the keys, lines never folded."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
