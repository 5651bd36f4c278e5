"""Recipe files: what is read, where relative paths lead, and what a mistake looks like."""

from pathlib import Path

import pytest

from bakeoff.base.errors import UserError
from bakeoff.recipes import load_recipe


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_relative_path_is_relative_to_the_recipe_and_not_to_the_working_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "deep" / "rows" / "train.jsonl", "{}\n")
    recipe = _write(tmp_path / "deep" / "r.yaml", "data: {source: rows}\n")
    assert load_recipe(recipe).values["data"]["source"] == str(tmp_path / "deep" / "rows")


def test_a_path_given_on_the_command_line_is_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    recipe = _write(tmp_path / "deep" / "r.yaml", "data: openai/gsm8k\n")
    tree = load_recipe(recipe, ["data.source=rows"])
    assert tree.values["data"] == {"source": str(tmp_path / "rows")}


def test_a_hub_id_that_is_no_folder_stays_an_id(tmp_path):
    recipe = _write(tmp_path / "r.yaml", "model: Qwen/Qwen2.5-1.5B\ndata: builtin:gsm-symbolic\n")
    values = load_recipe(recipe).values
    assert values == {"model": "Qwen/Qwen2.5-1.5B", "data": "builtin:gsm-symbolic"}


@pytest.mark.parametrize(
    "written", [r"rows\train.jsonl", r"'rows\train.jsonl'", "rows/train.jsonl"]
)
def test_a_windows_path_with_backslashes_finds_the_file(tmp_path, written):
    file = _write(tmp_path / "rows" / "train.jsonl", "{}\n")
    recipe = _write(tmp_path / "r.yaml", f"data:\n  train: {written}\n")
    assert load_recipe(recipe).values["data"]["train"] == str(file)


def test_a_windows_path_in_double_quotes_is_refused_with_the_way_out(tmp_path):
    recipe = _write(tmp_path / "r.yaml", 'data: "C:\\data\\train.jsonl"\n')
    with pytest.raises(UserError, match=r"r\.yaml:1:\d+: not valid YAML") as caught:
        load_recipe(recipe)
    assert "single quotes" in str(caught.value.hint)


def test_a_windows_drive_in_an_override_is_a_path_and_not_a_mapping(tmp_path):
    recipe = _write(tmp_path / "r.yaml", "name: x\n")
    tree = load_recipe(recipe, [r"model.source=C:\models\qwen"])
    assert tree.values["model"]["source"].endswith("C:/models/qwen")


def test_extends_takes_over_what_is_not_said_again(tmp_path):
    _write(tmp_path / "base" / "b.yaml", "name: b\ntrain: {batch_size: 8, num_epochs: 2}\n")
    recipe = _write(tmp_path / "r.yaml", "extends: base/b.yaml\nname: r\ntrain: {batch_size: 4}\n")
    assert load_recipe(recipe).values == {"name": "r", "train": {"batch_size": 4, "num_epochs": 2}}


def test_paths_of_an_extended_recipe_stay_relative_to_that_recipe(tmp_path):
    (tmp_path / "base" / "rows").mkdir(parents=True)
    _write(tmp_path / "base" / "b.yaml", "data: {source: rows}\n")
    recipe = _write(tmp_path / "r.yaml", "extends: base/b.yaml\n")
    assert load_recipe(recipe).values["data"]["source"] == str(tmp_path / "base" / "rows")


def test_extends_in_a_circle_is_refused(tmp_path):
    _write(tmp_path / "a.yaml", "extends: b.yaml\n")
    _write(tmp_path / "b.yaml", "extends: a.yaml\n")
    with pytest.raises(UserError, match="circle"):
        load_recipe(tmp_path / "a.yaml")


def test_extends_of_a_missing_file_names_the_line(tmp_path):
    recipe = _write(tmp_path / "r.yaml", "name: r\nextends: gone.yaml\n")
    with pytest.raises(UserError, match=r"r\.yaml:2:1: `extends` names .*gone\.yaml"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.learning_rate=1e-4", ("train", "learning_rate"), 1e-4),
        ("seed=[0, 1]", ("seed",), [0, 1]),
        ("method=full", ("method",), "full"),
        ("train.max_steps=", ("train", "max_steps"), None),
    ],
)
def test_an_override_is_read_as_yaml(tmp_path, override, key, value):
    tree = load_recipe(_write(tmp_path / "r.yaml", "name: r\ntrain: {batch_size: 2}\n"), [override])
    here = tree.values
    for part in key:
        here = here[part]
    assert here == value
    assert tree.where(".".join(key)) == f"--set {override}"


def test_an_override_of_a_part_keeps_the_source_written_in_short(tmp_path):
    recipe = _write(tmp_path / "r.yaml", "model: Qwen/Qwen2.5-1.5B\n")
    tree = load_recipe(recipe, ["model.revision=main"])
    assert tree.values["model"] == {"source": "Qwen/Qwen2.5-1.5B", "revision": "main"}


def test_an_override_that_is_no_assignment_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected KEY=VALUE"):
        load_recipe(_write(tmp_path / "r.yaml", "name: r\n"), ["train.learning_rate"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a\n", "not valid YAML"),
        ("name: a\nname: b\n", "duplicate key"),
        ("- a\n- b\n", "expected a mapping of keys to values, got a list"),
        ("", "expected a mapping of keys to values, got nothing"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_recipe(_write(tmp_path / "r.yaml", text))


def test_a_missing_recipe_says_how_to_get_one(tmp_path):
    with pytest.raises(UserError, match="no recipe at") as caught:
        load_recipe(tmp_path / "gone.yaml")
    assert "bakeoff init" in str(caught.value.hint)


def test_a_recipe_saved_as_gbk_is_refused_by_name(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes("name: 数学\n".encode("gbk"))
    with pytest.raises(UserError, match="not UTF-8"):
        load_recipe(path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes("\ufeffname: 数学\n".encode())
    assert load_recipe(path).values == {"name": "数学"}


def test_every_key_knows_its_line(tmp_path):
    recipe = _write(tmp_path / "r.yaml", "name: r\ntrain:\n  batch_size: 8\n  num_epochs: 1\n")
    assert load_recipe(recipe).where("train.num_epochs") == f"{recipe}:4:3"
    assert load_recipe(recipe).where("train.absent") == f"{recipe}:2:1"


def test_a_split_may_be_a_file_inside_the_source(tmp_path):
    _write(tmp_path / "rows" / "train.jsonl", "{}\n")
    recipe = _write(tmp_path / "r.yaml", "data: {source: rows, train: train.jsonl}\n")
    assert load_recipe(recipe).values["data"]["train"] == "train.jsonl"


def test_a_split_beside_the_recipe_is_that_file(tmp_path):
    file = _write(tmp_path / "train.jsonl", "{}\n")
    recipe = _write(tmp_path / "r.yaml", "data: {source: rows, train: train.jsonl}\n")
    assert load_recipe(recipe).values["data"]["train"] == str(file)


def test_a_folder_that_happens_to_be_called_train_is_not_the_split(tmp_path):
    (tmp_path / "train").mkdir()
    recipe = _write(tmp_path / "r.yaml", "data: {source: openai/gsm8k, train: train}\n")
    assert load_recipe(recipe).values["data"]["train"] == "train"


@pytest.mark.parametrize("override", ["data.source=[rows]", "data={source: [rows]}"])
def test_paths_inside_an_override_are_relative_to_the_working_folder(
    tmp_path, monkeypatch, override
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    recipe = _write(tmp_path / "deep" / "r.yaml", "name: r\n")
    assert load_recipe(recipe, [override]).values["data"]["source"] == [str(tmp_path / "rows")]


def test_a_merge_key_brings_in_its_values(tmp_path):
    text = "train: &shared {batch_size: 2}\nevaluate:\n  <<: *shared\n  limit: 3\n"
    tree = load_recipe(_write(tmp_path / "r.yaml", text))
    assert tree.values["evaluate"] == {"batch_size": 2, "limit": 3}
    assert tree.where("evaluate.limit").endswith("r.yaml:4:3")


def test_the_text_of_a_recipe_holds_what_it_extends(tmp_path):
    _write(tmp_path / "b.yaml", "name: b\nseed: 7\n")
    text = load_recipe(_write(tmp_path / "r.yaml", "extends: b.yaml\nname: r\n")).text
    assert (
        text.index("name: r")
        < text.index("b.yaml, which the recipe above extends")
        < text.index("seed: 7")
    )


def test_an_interpreter_is_named_by_its_link_and_not_by_what_the_link_leads_to(tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "python3").write_text("", encoding="utf-8")
    (tmp_path / "venv" / "python").symlink_to(tmp_path / "python3")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("env: {swift: venv/python, llamafactory: swift}\n", encoding="utf-8")
    values = load_recipe(recipe).values["env"]
    assert values == {"swift": str(tmp_path / "venv" / "python"), "llamafactory": "swift"}
