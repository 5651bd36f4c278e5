"""`bakeoff export`: a training as a framework's own files."""

import json

import pytest
from tests.command import bakeoff

RECIPE = """
name: mine
model: {model}
data: {{source: {data}, num_validation: 0}}
device: cuda
train: {{precision: bf16, batch_size: 4}}
"""
FILES = {
    "llamafactory": {"llama_train.yaml", "dataset_info.json", "model"},
    "swift": {"swift_sft.yaml", "bakeoff_template.py"},
}


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data):
    path = tmp_path / "recipe.yaml"
    values = {"model": json.dumps(str(tiny_model)), "data": json.dumps(str(tiny_data))}
    path.write_text(RECIPE.format(**values), encoding="utf-8")
    return path


@pytest.mark.parametrize("framework", FILES)
def test_a_training_for_a_gpu_is_exported_where_there_is_none(tmp_path, recipe, framework):
    bakeoff(tmp_path, "export", recipe, "--to", framework, "-o", "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"README.md", "train.jsonl", *FILES[framework]}
    rows = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 40


def test_a_folder_that_holds_anything_stays_as_it_is(tmp_path, recipe):
    # A README.md is what an export leaves too, and in its folder a model may have been trained.
    for name in ("README.md", "thesis.txt"):
        (tmp_path / "there" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "there" / name).write_text("mine", encoding="utf-8")
    done = bakeoff(tmp_path, "export", recipe, "--to", "swift", "-o", "there", expect=2)
    assert "holds files already" in done.stderr
    kept = {path.name: path.read_text("utf-8") for path in (tmp_path / "there").iterdir()}
    assert kept == {"README.md": "mine", "thesis.txt": "mine"}


def test_why_the_rows_could_not_be_written_is_said(tmp_path, recipe):
    chosen = ("--set", "train.max_length=2")
    done = bakeoff(tmp_path, "export", recipe, "--to", "swift", "-o", "out", *chosen, expect=1)
    assert "There is no row to train on: 40 in" in done.stderr
    assert not (tmp_path / "out").exists()
