"""A person's mistake: one clear message, exit code 2, no traceback, nothing half-written."""

import json

import pytest
from tests import tiny
from tests.command import bakeoff

GOOD = {
    "name": "t",
    "model": "builtin:smollm2-135m",
    "data": {"source": "rows", "num_validation": 2},
}


@pytest.fixture
def folder(tmp_path):
    _write_rows(tmp_path / "rows" / "train.jsonl", tiny.rows(8))
    _write_rows(tmp_path / "rows" / "test.jsonl", tiny.rows(3, start=50))
    return tmp_path


def _write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _recipe(folder, tiny_model, **keys):
    recipe = {**GOOD, "model": str(tiny_model), "device": "cpu", **keys}
    path = folder / "r.yaml"
    path.write_text(
        "\n".join(f"{key}: {json.dumps(value)}" for key, value in recipe.items()), encoding="utf-8"
    )
    return path


def _message(folder, recipe):
    """What a refused study prints; it must leave no run behind."""
    done = bakeoff(folder, "run", recipe, expect=2)
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1
    assert list((folder / "runs").glob("*/record.json")) == []
    return done.stderr


def test_a_misspelt_key(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, train={"learnin_rate": 1e-4}))
    assert "r.yaml:5:9: `train.learnin_rate`: unknown key" in message
    assert "did you mean `learning_rate`?" in message


def test_a_wrong_type(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, train={"batch_size": "many"}))
    assert "r.yaml:5:9: `train.batch_size`: expected a whole number; got 'many'" in message


def test_several_mistakes_at_once(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, seed="x", methd="lora"))
    assert "2 mistakes in the recipe" in message
    assert "did you mean `method`?" in message


def test_an_unknown_backend(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, backend="bultin"))
    assert "`backend`: unknown" in message
    assert "did you mean `builtin`?" in message


def test_settings_for_an_unknown_backend(folder, tiny_model):
    extra = {"llama_factory": {"neftune_noise_alpha": 5}}
    message = _message(folder, _recipe(folder, tiny_model, extra=extra))
    assert "r.yaml:5:9: `extra.llama_factory`: unknown" in message
    assert "did you mean `llamafactory`?" in message


def test_a_world_too_large_for_the_strategy(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, world_size=2))
    assert "`world_size`: `single` runs one process" in message


def test_a_missing_recipe(folder):
    assert "no recipe at gone.yaml" in bakeoff(folder, "run", "gone.yaml", expect=2).stderr


def test_a_missing_data_file(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, data={"source": "./rows/gone.jsonl"}))
    assert "r.yaml:3:8: `data.source" in message
    assert "gone.jsonl" in message


def test_a_column_that_is_not_there(folder, tiny_model):
    data = {**GOOD["data"], "columns": {"prompt": "questoin", "response": "answer"}}
    message = _message(folder, _recipe(folder, tiny_model, data=data))
    assert "questoin" in message
    assert "question" in message
    assert "data.columns.prompt" in message


def test_an_empty_dataset(folder, tiny_model):
    (folder / "rows" / "train.jsonl").write_text("")
    assert "train.jsonl" in _message(folder, _recipe(folder, tiny_model))


def test_a_row_that_is_not_valid(folder, tiny_model):
    with (folder / "rows" / "train.jsonl").open("a") as file:
        file.write('{"question": "x", "answer": "y",}\n')
    message = _message(folder, _recipe(folder, tiny_model))
    assert "train.jsonl" in message
    assert "9" in message
    assert "comma" in message


def test_an_unknown_builtin_model(folder, tiny_model):
    message = _message(folder, _recipe(folder, tiny_model, model="builtin:smollm2-135"))
    assert "did you mean" in message


def test_a_folder_that_is_no_model(folder, tiny_model):
    (folder / "empty").mkdir()
    assert "config.json" in _message(folder, _recipe(folder, tiny_model, model="./empty"))


def test_test_questions_in_the_training_split_are_refused_by_name(folder, tiny_model):
    _write_rows(folder / "rows" / "test.jsonl", tiny.rows(3, start=6))
    message = _message(folder, _recipe(folder, tiny_model))
    assert "2" in message
    assert "allow_overlap" in message


def test_an_unknown_study_and_an_unknown_run(folder):
    (folder / "runs").mkdir()
    assert "no study `x`" in bakeoff(folder, "report", "x", expect=2).stderr
    assert "no run `x`" in bakeoff(folder, "compare", "x", "y", expect=2).stderr


def test_no_results_yet(folder):
    message = bakeoff(folder, "results", expect=2).stderr
    assert "no folder runs" in message
    assert "--runs-dir" in message


@pytest.mark.parametrize(
    "arguments", [["rum"], ["run"], ["run", "r.yaml", "--sett", "x=1"], ["compare"]]
)
def test_a_wrong_command_line(folder, arguments):
    assert bakeoff(folder, *arguments, expect=2).stderr
