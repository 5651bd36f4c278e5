"""Small commands, and what the command line promises as a whole."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import bakeoff

from bakeoff.cli.recipe_commands import preset_folder

PRESETS = sorted(path.stem for path in preset_folder().glob("*.yaml"))


def test_help_imports_nothing_that_is_slow():
    code = (
        "import sys, bakeoff.cli\n"
        "slow = {'pydantic', 'altair', 'scipy', 'jinja2', 'huggingface_hub', 'torch'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_needs_no_training_stack(tmp_path):
    code = (
        "import sys\nsys.argv = ['bakeoff', 'plan', sys.argv[1], '--cache-dir', sys.argv[2]]\n"
        "from bakeoff.cli import main\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert error.code == 0\n"
        "stack = {'torch', 'transformers', 'peft', 'datasets', 'lm_eval', 'accelerate'}\n"
        "assert not stack & set(sys.modules), stack & set(sys.modules)\n"
    )
    recipe = preset_folder() / "quickstart.yaml"
    subprocess.run([sys.executable, "-c", code, recipe, tmp_path], check=True, cwd=tmp_path)


def test_the_version_is_printed(tmp_path):
    assert bakeoff(tmp_path, "--version").stdout.startswith("bakeoff 0.")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_written_and_can_be_planned(tmp_path, preset):
    bakeoff(tmp_path, "init", preset)
    plan = json.loads(bakeoff(tmp_path, "plan", f"{preset}.yaml", "--json").stdout)
    kinds = {step["kind"] for step in plan["steps"]}
    assert kinds - {"environment"} == {"model", "data", "train", "eval"}
    assert plan["study"] == preset


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_says_what_it_shows_and_how_to_run_it(preset):
    text = (preset_folder() / f"{preset}.yaml").read_text(encoding="utf-8")
    head = text.split("\n\n")[0]
    assert head.startswith("# ")
    assert re.search(rf"bakeoff (run|search|transfer) examples/{preset}.yaml", head)


def test_init_lists_its_presets_and_overwrites_nothing(tmp_path):
    listed = bakeoff(tmp_path, "init", "--list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == PRESETS
    target = tmp_path / "mine.yaml"
    target.write_text("mine")
    message = bakeoff(tmp_path, "init", "-o", target, expect=2).stderr
    assert "exists already" in message
    assert target.read_text() == "mine"
    assert "did you mean `quickstart`" in bakeoff(tmp_path, "init", "quickstrat", expect=2).stderr


def test_the_schema_accepts_every_preset_and_refuses_a_misspelt_key(tmp_path):
    from jsonschema import Draft202012Validator
    from ruamel.yaml import YAML

    schema = json.loads(bakeoff(tmp_path, "recipe", "schema").stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in preset_folder().glob("*.yaml"):
        recipe = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        assert list(validator.iter_errors(recipe)) == [], path
        assert list(validator.iter_errors({**recipe, "trian": {}}))
        assert list(validator.iter_errors({**recipe, "seed": ["x"]}))


def test_the_schema_explains_each_key():
    from bakeoff.planning.json_schema import recipe_json_schema

    schema = recipe_json_schema()
    assert (
        "learning rate"
        in schema["$defs"]["TrainSpec"]["properties"]["learning_rate"]["description"]
    )


def test_the_plan_is_a_table_for_people(tmp_path):
    recipe = Path(preset_folder() / "quickstart.yaml")
    shown = bakeoff(tmp_path, "plan", recipe).stdout
    assert "untouched model" in shown
    assert "7 of 7 steps to do" in shown
