"""Writing a recipe: form and text are one, mistakes are named by the same code as `bakeoff run`."""

import re

import pytest
from tests.dashboard.conftest import client_of, make_site

from bakeoff.base.errors import UserError
from bakeoff.dashboard.drafts import check, form_values, keep, set_value

TEXT = """\
# What this is for.
name: mine  # its name
model: builtin:smollm2-135m
data:
  source: builtin:gsm-symbolic
  num_train: 40

method: [lora, full]
train:
  learning_rate: {lora: 1.0e-3, full: 2.0e-4}
"""


def test_a_field_changes_its_key_and_nothing_else():
    changed = set_value(TEXT, "method", "lora")
    assert changed == TEXT.replace("[lora, full]", "lora")
    assert set_value(TEXT, "data", "other/data") == TEXT.replace(
        "builtin:gsm-symbolic", "other/data"
    )


def test_several_values_with_commas_are_a_matrix():
    changed = set_value(TEXT, "seed", "0, 1, 2")
    assert form_values(changed)["seed"] == "0, 1, 2"
    assert re.search(r"^seed: *\[0, 1, 2\]$", changed, re.M)


def test_an_empty_field_takes_its_key_out():
    assert "num_train" not in set_value(TEXT, "data.num_train", "")
    assert "lora:\n  rank: 8\n" in set_value(TEXT, "lora.rank", "8")


def test_the_form_shows_what_the_text_says():
    values = form_values(TEXT)
    assert values["data"] == "builtin:gsm-symbolic"
    assert values["method"] == "lora, full"
    assert values["train.learning_rate"] == "{lora: 0.001, full: 0.0002}"
    assert values["seed"] == ""
    assert form_values("not: [valid") == {}


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "runs")


def test_the_plan_of_a_draft_is_that_of_the_command(site):
    plan = check(site, TEXT)
    assert (plan.study, plan.num_trainings, plan.exists) == ("mine", 2, False)
    assert [step.text for step in plan.steps][:3] == [
        "model builtin:smollm2-135m",
        "data builtin:gsm-symbolic",
        "evaluate untouched model, data, 0-shot",
    ]
    assert list((site.runs_dir / "studies").iterdir()) == []


def test_mistakes_come_with_line_key_and_hint(site):
    with pytest.raises(UserError, match=r"^recipe.yaml:8:1: `methd`: unknown key") as found:
        check(site, TEXT.replace("method:", "methd:"))
    assert "did you mean `method`?" in str(found.value.hint)
    with pytest.raises(UserError, match="not valid YAML"):
        check(site, "name: [")


def test_a_name_that_is_no_folder_s_is_refused(site):
    for name in ("../out", "a/b", ".hidden"):
        with pytest.raises(UserError):
            keep(site, TEXT.replace("name: mine", f"name: {name!r}"))
    name, path = keep(site, TEXT)
    assert (name, path) == ("mine", site.runs_dir / "studies" / "mine" / "recipe.yaml")
    assert path.read_text(encoding="utf-8") == TEXT


def test_the_page_keeps_form_and_text_together(site):
    page = client_of(site)
    answer = page.post("/new/set", data={"text": TEXT, "key": "method", "value": "full"}).text
    assert "method: full" in answer
    assert 'hx-swap-oob="true"' in answer
    assert "Run it" in answer
    wrong = page.post("/new/check", data={"text": TEXT.replace("num_train: 40", "num_train: -4")})
    assert "`data.num_train`: expected at least 1; got -4" in wrong.text
    assert "Run it" not in wrong.text
    assert page.post("/new/set", data={"text": TEXT, "key": "env", "value": "x"}).status_code == 404


def test_the_chinese_page_explains_mistakes_in_chinese(site):
    page = client_of(site, language="zh")
    wrong = page.post("/new/check", data={"text": TEXT.replace("num_train: 40", "num_train: x")})
    assert "应为 整数" in wrong.text


def test_every_preset_opens(site):
    page = client_of(site)
    names = re.findall(r'href="/new\?preset=([\w-]+)"', page.get("/new").text)
    assert "quickstart" in names
    for name in names:
        assert page.get(f"/new?preset={name}").status_code == 200
    assert page.get("/new?preset=../../etc/passwd").status_code == 404
