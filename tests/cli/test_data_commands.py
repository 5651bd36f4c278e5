"""`bakeoff data`, as a person types it."""

import json
import re
import textwrap

import pytest
from rich.cells import cell_len
from tests import tiny
from tests.command import bakeoff


@pytest.fixture
def folder(tmp_path):
    """A folder with `rows/train.jsonl` (40 rows) and `rows/test.jsonl` (6 rows)."""
    write_rows(tmp_path / "rows" / "train.jsonl", tiny.rows(40))
    write_rows(tmp_path / "rows" / "test.jsonl", tiny.rows(6, start=100))
    return tmp_path


def write_rows(path, rows):
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def write_recipe(folder, model, **more):
    recipe = {"name": "t", "model": str(model), "data": {"source": "rows"}, **more}
    (folder / "t.yaml").write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")


def test_a_sound_folder_is_checked_with_exit_code_0(folder):
    done = bakeoff(folder, "data", "check", "rows")
    assert "nothing to complain of" in done.stdout
    assert re.search(r"train +prompt-response +40 +0 ", done.stdout)


def test_warnings_alone_leave_exit_code_0_and_errors_make_it_1(folder):
    with (folder / "rows" / "train.jsonl").open("ab") as file:
        file.write(b'{"question": "Is it odd?", "answer": "No, it is odd"}\n')
    done = bakeoff(folder, "data", "check", "rows")
    assert "0 errors, 2 warnings" in done.stdout
    with (folder / "rows" / "train.jsonl").open("ab") as file:
        file.write(b"{'question': 'Is it odd?'}\n")
    done = bakeoff(folder, "data", "check", "rows", expect=1)
    assert "line 42" in done.stdout
    assert "single quotes" in done.stdout
    assert "1 error, 2 warnings" in done.stdout


def test_a_mistake_in_the_call_is_exit_code_2(folder):
    done = bakeoff(folder, "data", "check", "./raws", expect=2)
    assert "did you mean `rows`?" in done.stderr
    done = bakeoff(folder, "data", "check", "rows", "--model", "builtin:smollm2-135m", expect=2)
    assert "not on disk" in done.stderr


def test_a_recipes_rows_are_counted_with_its_models_tokenizer(folder, tiny_model):
    write_recipe(folder, tiny_model, train={"max_length": 20})
    found = json.loads(bakeoff(folder, "data", "check", "t.yaml", "--json").stdout)
    assert found["tokenizer"] == str(tiny_model)
    assert found["max_length"] == 20
    assert found["splits"]["train"]["lengths"]["unit"] == "tokens"
    assert "too-long" in {finding["code"] for finding in found["findings"]}


def test_a_recipe_with_two_prompts_asks_for_a_choice(folder, tiny_model):
    write_recipe(folder, tiny_model, prompt={"text": ["{{prompt}}", "Q: {{prompt}}"]})
    done = bakeoff(folder, "data", "check", "t.yaml", expect=2)
    assert "`prompt.text`" in done.stderr
    bakeoff(folder, "data", "check", "t.yaml", "--set", "prompt.text='Q: {{prompt}}'")


def test_the_page_needs_nothing_else_and_shows_the_datas_text_as_text(folder):
    rows = [{"question": "<script>alert(1)</script>", "answer": f"#### {n}"} for n in (1, 2)]
    write_rows(folder / "rows" / "train.jsonl", rows)
    done = bakeoff(folder, "data", "check", "rows", "--html", "页/check.html", "--json")
    assert json.loads(done.stdout)["num_warnings"] == 1
    page = (folder / "页" / "check.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "[contradiction]" not in page
    assert "contradiction" in page


def test_a_split_is_made_once_and_a_recipe_can_name_its_folder(folder, tiny_model):
    arguments = ("data", "split", "rows/train.jsonl", "-o", "分割", "--test", 6, "--seed", 2)
    made = bakeoff(folder, *arguments)
    assert "分割 made: train 30, validation 4, test 6" in made.stdout
    again = bakeoff(folder, *arguments)
    assert "is there already" in again.stdout
    snippet = made.stdout.partition("in a recipe:\n")[2]
    text = f"name: t\nmodel: {json.dumps(str(tiny_model))}\n" + textwrap.dedent(snippet)
    (folder / "t.yaml").write_text(text, encoding="utf-8")
    found = json.loads(bakeoff(folder, "data", "check", "t.yaml", "--json").stdout)
    sizes = {name: facts["num_rows"] for name, facts in found["splits"].items()}
    assert sizes == {"train": 30, "validation": 4, "test": 6}


def test_a_recipe_is_not_split(folder, tiny_model):
    write_recipe(folder, tiny_model)
    done = bakeoff(folder, "data", "split", "t.yaml", "-o", "made", expect=2)
    assert "is a recipe" in done.stderr


def test_inspect_shows_rows_aligned_and_marks_what_is_learned_without_colours(folder, tiny_model):
    write_recipe(folder, tiny_model)
    done = bakeoff(folder, "data", "inspect", "t.yaml", "--rows", 2)
    assert "\x1b[" not in done.stdout
    assert "Answer:{+ 1 + 2 = 3\n#### 3<|end|>+}" in done.stdout
    boxed = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert any("小明有1个苹果" in line for line in boxed)
    table = boxed[3:6]
    assert "小明" in table[0]
    assert len({cell_len(line) for line in table}) == 1
    (ids,) = re.findall(r"^ids +((?:\d+\s+)+)labels", done.stdout, re.MULTILINE)[:1]
    sample = json.loads(bakeoff(folder, "data", "inspect", "t.yaml", "--json").stdout)["samples"][0]
    assert [int(number) for number in ids.split()] == sample["token_ids"]
    assert sample["labels"][0] == -100
    assert sample["labels"][-1] == sample["token_ids"][-1]


def test_a_conversation_is_shown_turn_by_turn_and_its_columns_by_what_they_hold(folder):
    turns = [{"from": "human", "value": "小明有几个苹果？"}, {"from": "gpt", "value": "三个"}]
    write_rows(folder / "chat.jsonl", [{"conversations": turns, "system": "答", "id": 7}])
    done = bakeoff(folder, "data", "inspect", "chat.jsonl", "--rows", 1)
    lines = [" ".join(line.strip("│ ").split()) for line in done.stdout.splitlines()]
    assert "conversations │ human: 小明有几个苹果？" in lines
    assert "gpt: 三个" in [line.strip("│ ") for line in lines]
    assert any(line.startswith("conversations the turns list") for line in lines)
    assert any(line.startswith("system the system message text") for line in lines)
    assert any(line.startswith("id not used number") for line in lines)


def test_a_split_of_conversations_tells_what_a_recipe_needs_to_read_them(folder):
    rows = [{"chat": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "1"}]}
            for n in range(20)]  # fmt: skip
    write_rows(folder / "chat.jsonl", rows)
    named = ("--set", "data.columns.messages=chat", "--set", "data.format=messages")
    made = bakeoff(folder, "data", "split", "chat.jsonl", "-o", "made", *named)
    assert "train 16, validation 2, test 2" in made.stdout
    assert '    format: "messages"\n' in made.stdout
    assert '    columns: {"messages": "chat"}' in made.stdout
