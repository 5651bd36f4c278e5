"""The built-in word problems, from the real generator."""

import re
import sys

import pytest

from bakeoff import data
from bakeoff.base.errors import UserError
from bakeoff.data import gsm_symbolic
from bakeoff.data.gsm_symbolic_items import Item, equations_hold, is_easy, item_of
from bakeoff.data.overlap import question_key
from bakeoff.data.reasoning_gym_loader import load_generator
from bakeoff.schema.recipe_subject import Columns, DataSpec, PromptSpec

SOURCE = "builtin:gsm-symbolic"


def test_the_defaults_are_easy_items_without_a_common_question(prepare):
    manifest, rows = prepare(SOURCE, num_validation=64)
    assert manifest.num_rows == {"train": 800, "validation": 64, "test": 200}
    every = [row for split in rows.values() for row in split]
    assert len({question_key(row["prompt"]) for row in every}) == 1064
    for row in every:
        *working, final = row["response"].split("\n")
        assert 1 <= len(working) <= 2
        assert re.fullmatch(r"#### \d{1,3}", final)
        text = row["prompt"] + row["response"]
        assert max(float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)) <= 100
        assert "Do not include units" not in row["prompt"]


def test_the_seed_alone_decides_the_items(prepare):
    sizes = {"num_train": 20, "num_validation": 5, "num_test": 10}
    first, rows = prepare(SOURCE, seed=1, **sizes)
    again, _ = prepare(SOURCE, seed=1, **sizes)
    other, other_rows = prepare(SOURCE, seed=2, **sizes)
    assert first.digest == again.digest != other.digest
    prompts = [{row["prompt"] for row in each["train"]} for each in (rows, other_rows)]
    assert len(prompts[0] & prompts[1]) <= 1


def test_more_training_items_leave_the_test_items_as_they_were(prepare):
    _, few = prepare(SOURCE, num_train=10, num_validation=5, num_test=10)
    _, more = prepare(SOURCE, num_train=30, num_validation=5, num_test=10)
    assert (few["test"], few["validation"]) == (more["test"], more["validation"])


def test_the_subset_all_has_harder_items_too(prepare):
    _, rows = prepare(SOURCE, subset="all", num_train=100, num_test=10)
    assert any(row["response"].count("\n") > 2 for row in rows["train"])
    assert all(re.search(r"\n#### \d+(\.\d+)?$", row["response"]) for row in rows["train"])


def test_more_items_than_there_are_is_an_error_and_no_endless_loop(prepare, monkeypatch):
    monkeypatch.setattr(gsm_symbolic, "_MIN_NEW_PER_BATCH", 2000)
    with pytest.raises(UserError, match=r"has about \d+ different questions; 5010 were") as raised:
        prepare(SOURCE, num_train=5000, num_test=10)
    assert "`data.num_train`" in raised.value.hint
    assert "`data.subset: all`" in raised.value.hint


WRONG = {
    "subset": ({"subset": "main"}, "has no subset `main` (`data.subset`)", "`easy` and `all`"),
    "train": ({"train": "x.jsonl"}, "`data.train` cannot be chosen", "leave `data.train` out"),
    "columns": ({"columns": Columns(prompt="x")}, "`data.columns` cannot be chosen", "leave"),
    "name": ({"source": "builtin:gsm-symbolc"}, "unknown data: `builtin:gsm-symbolc`",
             "did you mean `builtin:gsm-symbolic`?"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_chosen_is_refused(prepare, kind):
    spec, cause, hint = WRONG[kind]
    with pytest.raises(UserError) as raised:
        prepare(**{"source": SOURCE, **spec})
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_the_fingerprint_follows_seed_and_subset(tmp_path):
    specs = [
        DataSpec(source=SOURCE),
        DataSpec(source=SOURCE, subset="easy"),
        DataSpec(source=SOURCE, seed=1),
        DataSpec(source=SOURCE, subset="all"),
    ]
    prints = [data.fingerprint(spec, base_dir=tmp_path) for spec in specs]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_missing_package_is_named_with_the_command_that_installs_it(prepare, monkeypatch):
    def missing(name):
        raise gsm_symbolic.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gsm_symbolic.importlib.metadata, "version", missing)
    with pytest.raises(UserError, match="reasoning-gym, which is not installed") as raised:
        prepare(SOURCE)
    assert raised.value.hint == "pip install --no-deps reasoning-gym"


def test_loading_the_generator_leaves_no_trace():
    load_generator()
    assert not [name for name in sys.modules if name.split(".")[0] == "reasoning_gym"]


def test_a_module_that_was_loaded_before_is_there_again_afterwards(monkeypatch):
    mine = object()
    monkeypatch.setitem(sys.modules, "reasoning_gym", mine)
    with pytest.raises(ValueError, match="__spec__"):
        load_generator()
    assert sys.modules["reasoning_gym"] is mine


def raw(question, answer_cot, answer):
    return {"question": question, "answer": answer, "metadata": {"answer_cot": answer_cot}}


SOUND = {
    "3 * 4 = 12 eggs\n#### 12": "12",
    "She pays $1,200 - $200 = $1,000.\n#### 1000": "1000",
    "Half of 7 is 7 / 2 = 3.5\n#### 3.5": "3.5",
    "5 bags * 2 + 3 = 13\n#### 13": "13",
}
UNSOUND = {
    "no mark": ("3 * 4 = 12", "12"),
    "other answer": ("3 * 4 = 12\n#### 12", "13"),
    "float at the end": ("3 * 4 = 12\n#### 12.0", "12"),
    "float within": ("16 * 0.5 = 8.0\n#### 8", "8"),
    "float error": ("3 * 0.1 = 0.30000000000000004\n#### 1", "1"),
    "negative": ("10 - 15 = -5\n#### 5", "5"),
    "negative answer": ("10 - 15\n#### -5", "-5"),
    "not a number": ("0 / 0 = nan\n#### 1", "1"),
    "wrong equation": ("48 / 18 = 2\n#### 2", "2"),
    "wrong after words": ("So 3 + 4 = 8 eggs\n#### 8", "8"),
}


@pytest.mark.parametrize("working", SOUND)
def test_sound_items_are_kept_without_the_generators_instruction(working):
    question = "How many? Give the result as your final answer. Do not include units."
    assert item_of(raw(question, working, SOUND[working])) == Item("How many?", working)


@pytest.mark.parametrize("kind", UNSOUND)
def test_items_with_broken_arithmetic_are_left_out(kind):
    working, answer = UNSOUND[kind]
    assert item_of(raw("How many?", working, answer)) is None


def test_an_equation_is_judged_with_the_usual_precedence_and_rounding():
    assert equations_hold("2 + 3 * 4 - 6 / 3 = 12")
    assert equations_hold("20 / 3 = 6.67")
    assert not equations_hold("2 + 3 x 4 = 20")
    assert not equations_hold("4 / 0 = 0")


@pytest.mark.parametrize(
    ("question", "answer", "easy"),
    [
        ("100?", "1 + 1 = 2\n99 + 1 = 100\n#### 100", True),
        ("100?", "a\nb\nc\n#### 1", False),
        ("101?", "a\n#### 1", False),
        ("1,000?", "a\n#### 1", False),
        ("1?", "a\n#### 1.5", False),
    ],
)
def test_easy_means_short_whole_and_small(question, answer, easy):
    assert is_easy(Item(question, answer)) is easy


def test_training_text_is_question_then_answer(prepare):
    _, rows = prepare(
        SOURCE, num_train=2, num_test=2, prompt=PromptSpec(text="Q: {{prompt}}\n", separator="A: ")
    )
    row = rows["train"][0]
    assert row["segments"] == [
        {"text": f"Q: {row['prompt']}\n", "loss": False},
        {"text": f"A: {row['response']}", "loss": True},
    ]
