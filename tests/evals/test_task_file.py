"""The text of the task file; `test_harness_tasks.py` shows that the harness reads it so."""

from pathlib import Path, PureWindowsPath

import pytest
from ruamel.yaml import YAML

from bakeoff.evals.task_file import render_task_file, stop_strings
from bakeoff.schema.recipe_subject import PromptSpec

GOLDEN = r"""
# Written by bakeoff: the rows that it prepared, asked as lm-evaluation-harness asks `gsm8k`.
# By hand: lm_eval --tasks bakeoff_data --include_path FOLDER_OF_THIS_FILE --model hf ...
task: bakeoff_data
dataset_path: json
dataset_kwargs:
  data_files:
    train: /数据 一/[[]a]/train.jsonl
    test: /数据 一/[[]a]/test.jsonl
output_type: generate_until
training_split: train
fewshot_split: train
test_split: test
num_fewshot: 5
doc_to_text: "{{context | default('', true)}}Question: {{prompt}}\nAnswer:"
doc_to_target: response
target_delimiter: ' '
generation_kwargs:
  until:
  - 'Question:'
  - </s>
  - <|im_end|>
  do_sample: false
  temperature: 0.0
  max_gen_toks: 256
repeats: 1
filter_list:
- name: strict-match
  filter:
  - function: regex
    regex_pattern: '#### (\-?[0-9\.\,]+)'
  - function: take_first
- name: flexible-extract
  filter:
  - function: regex
    group_select: -1
    regex_pattern: (-?[$0-9.,]{2,})|(-?[0-9]+)
  - function: take_first
metric_list:
- metric: exact_match
  aggregation: mean
  higher_is_better: true
  ignore_case: true
  ignore_punctuation: false
  regexes_to_ignore:
  - ','
  - \$
  - '(?s).*#### '
  - \.$
metadata:
  version: 1.0
"""


def test_the_task_file_is_written_as_expected():
    text = render_task_file(
        data_dir=Path("/数据 一/[a]"),
        prompt=PromptSpec(),
        num_fewshot=5,
        generation={"max_gen_toks": 256},
    )
    assert text == GOLDEN.removeprefix("\n")


def test_a_folder_on_windows_is_named_with_slashes():
    text = render_task_file(
        data_dir=PureWindowsPath(r"C:\用户\我 的"),
        prompt=PromptSpec(),
        num_fewshot=0,
        generation={"max_gen_toks": 1},
    )
    assert "    test: C:/用户/我 的/test.jsonl\n" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Question: {{prompt}}\nAnswer:", ["Question:", "</s>", "<|im_end|>"]),
        ("问题:{{ prompt }}\n答案:", ["问题:", "</s>", "<|im_end|>"]),
        ("{{prompt}}\n", ["</s>", "<|im_end|>"]),
        ("{% if prompt %}{{prompt}}{% endif %}", ["</s>", "<|im_end|>"]),
    ],
)
def test_an_answer_ends_where_the_next_question_would_begin(text, expected):
    assert stop_strings(PromptSpec(text=text)) == expected


def test_the_harness_shows_a_rows_context_before_its_question():
    lm_utils = pytest.importorskip("lm_eval.utils")
    text = render_task_file(
        data_dir=Path("/d"), prompt=PromptSpec(), num_fewshot=0, generation={"max_gen_toks": 8}
    )
    template = YAML(typ="safe").load(text)["doc_to_text"]
    row = {"context": "Be brief.\n\nQuestion: a\nAnswer: A\n\n", "prompt": "b"}
    asked = lm_utils.apply_template(template, row)
    assert asked == "Be brief.\n\nQuestion: a\nAnswer: A\n\nQuestion: b\nAnswer:"
    for without in ({"prompt": "b"}, {"prompt": "b", "context": ""}):
        assert lm_utils.apply_template(template, without) == "Question: b\nAnswer:"
