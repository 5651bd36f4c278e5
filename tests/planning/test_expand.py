"""One recipe tree becomes the cells of its matrix."""

import pytest

from bakeoff.base.errors import UserError
from bakeoff.planning.expand import expand
from bakeoff.planning.problems import InvalidRecipe


def _tree(**keys):
    return {"name": "t", "model": "builtin:smollm2-135m", "data": "builtin:gsm-symbolic", **keys}


def _problem(tree):
    with pytest.raises(InvalidRecipe) as caught:
        expand(tree)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_a_price_needs_its_currency_and_repeats_are_no_axis():
    problem = _problem(_tree(measure={"price_per_hour": 1.88}))
    assert "`price_per_hour` and `currency` together" in problem.message
    recipe = expand(_tree(measure={"repeats": 3})).cells[0].recipe
    assert (recipe.measure.repeats, recipe.measure.price_per_hour) == (3, None)


def test_scalars_alone_make_one_cell():
    matrix = expand(_tree())
    assert (len(matrix.cells), matrix.varying) == (1, ())


def test_a_list_where_a_scalar_is_allowed_spans_the_matrix():
    matrix = expand(_tree(method=["lora", "full"], seed=[0, 1, 2]))
    assert [(cell.recipe.method, cell.recipe.seed) for cell in matrix.cells] == [
        ("lora", 0), ("lora", 1), ("lora", 2), ("full", 0), ("full", 1), ("full", 2),
    ]  # fmt: skip
    assert matrix.varying == ("method", "seed")


def test_a_list_where_a_list_is_wanted_is_one_value():
    matrix = expand(_tree(evaluate={"num_fewshot": [0, 1, 5]}))
    assert [cell.recipe.evaluate.num_fewshot for cell in matrix.cells] == [(0, 1, 5)]


def test_a_list_of_lists_where_a_list_is_wanted_spans_the_matrix():
    matrix = expand(_tree(lora={"target_modules": [["q_proj"], ["q_proj", "v_proj"]]}))
    assert [cell.recipe.lora.target_modules for cell in matrix.cells] == [
        ("q_proj",),
        ("q_proj", "v_proj"),
    ]


def test_a_value_can_be_chosen_by_method():
    matrix = expand(
        _tree(method=["lora", "full"], train={"learning_rate": {"lora": 1e-3, "full": 1e-5}})
    )
    assert [cell.recipe.train.learning_rate for cell in matrix.cells] == [1e-3, 1e-5]
    assert matrix.varying == ("method",)


def test_a_value_chosen_by_method_may_be_an_axis_of_that_method():
    rates = {"lora": [1e-3, 1e-4], "full": 1e-5}
    matrix = expand(_tree(method=["lora", "full"], train={"learning_rate": rates}))
    assert [(c.recipe.method, c.recipe.train.learning_rate) for c in matrix.cells] == [
        ("lora", 1e-3),
        ("lora", 1e-4),
        ("full", 1e-5),
    ]
    assert matrix.cells[0].axes["train.learning_rate"] == 1e-3


def test_a_method_without_its_value_is_named():
    problem = _problem(_tree(method=["lora", "full"], train={"learning_rate": {"lora": 1e-3}}))
    assert problem.key == "train.learning_rate"
    assert "no value for the method `full`" in problem.message


def test_a_lora_axis_does_not_multiply_full_fine_tuning():
    matrix = expand(_tree(method=["lora", "full"], lora={"rank": [8, 16]}))
    assert [(c.recipe.method, c.axes.get("lora.rank")) for c in matrix.cells] == [
        ("lora", 8),
        ("lora", 16),
        ("full", None),
    ]


def test_several_models_are_an_axis():
    matrix = expand(_tree(model=["a/b", {"source": "c/d", "revision": "main"}]))
    assert [cell.axes["model"] for cell in matrix.cells] == ["a/b", "c/d"]
    assert matrix.cells[1].recipe.model.revision == "main"


@pytest.mark.parametrize(
    ("keys", "key", "hint"),
    [
        ({"trian": {}}, "trian", "did you mean `train`?"),
        ({"train": {"learnin_rate": 1}}, "train.learnin_rate", "did you mean `learning_rate`?"),
        ({"learning_rate": 1}, "learning_rate", "did you mean `train.learning_rate`?"),
        ({"rank": 1}, "rank", "did you mean `lora.rank`?"),
    ],
)
def test_a_misspelt_key_is_an_error_with_a_suggestion(keys, key, hint):
    problem = _problem(_tree(**keys))
    assert (problem.key, problem.message, problem.hint) == (key, "unknown key", hint)


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({"seed": "x"}, "seed", "expected a whole number; got 'x'"),
        ({"train": {"batch_size": 0}}, "train.batch_size", "expected at least 1; got 0"),
        ({"train": {"learning_rate": 0}}, "train.learning_rate", "expected more than 0; got 0"),
        (
            {"train": {"precision": "fp8"}},
            "train.precision",
            "expected one of 'bf16', 'fp32' or 'bf16-mixed'; got 'fp8'",
        ),
        ({"train": 3}, "train", "expected a mapping of keys to values; got 3"),
        (
            {"name": "a b"},
            "name",
            "expected only letters, digits, `-`, `_` and `.`, not starting with a dot; got 'a b'",
        ),
        (
            {"evaluate": {"num_fewshot": [0, 0]}},
            "evaluate.num_fewshot",
            "expected at least one entry, and each only once; got [0, 0]",
        ),
        ({"seed": []}, "seed", "the list is empty"),
    ],
)  # fmt: skip
def test_a_wrong_value_says_what_was_expected_and_what_came(keys, key, message):
    problem = _problem(_tree(**keys))
    assert (problem.key, problem.message) == (key, message)


def test_a_wrong_entry_of_an_axis_is_found():
    problem = _problem(_tree(seed=[0, "a"]))
    assert problem.key == "seed"
    assert problem.message == "expected a whole number; got 'a' (an entry of the list)"


def test_a_missing_key_is_named():
    tree = _tree()
    del tree["model"]
    assert _problem(tree).message == "is required but missing"


def test_a_slip_that_makes_thousands_of_cells_is_refused():
    with pytest.raises(UserError, match="asks for 4000 cells"):
        expand(_tree(seed=list(range(2000)), method=["lora", "full"]))


@pytest.mark.parametrize("seed", [[1, 1], 1])
def test_equal_cells_are_one(seed):
    assert len(expand(_tree(seed=seed)).cells) == 1


def test_a_prompt_that_does_not_ask_the_question_is_refused():
    problem = _problem(_tree(prompt={"text": "Please answer this prompt"}))
    assert problem.key == "prompt.text"
    assert problem.message.startswith("expected a text that uses {{prompt}}")


def test_single_takes_one_device_of_a_study_that_compares_strategies():
    matrix = expand(_tree(strategy=["single", "ddp", "zero2"], world_size=2))
    found = [(cell.recipe.strategy, cell.recipe.world_size) for cell in matrix.cells]
    assert found == [("single", 1), ("ddp", 2), ("zero2", 2)]
    assert [cell.axes["world_size"] for cell in matrix.cells] == [1, 2, 2]
    several = expand(_tree(strategy=["single", "ddp"], world_size=[2, 4]))
    found = [(cell.recipe.strategy, cell.recipe.world_size) for cell in several.cells]
    assert found == [("single", 1), ("ddp", 2), ("ddp", 4)]
    assert expand(_tree(world_size=2)).cells[0].recipe.world_size == 2


def test_rows_per_step_give_the_passes_of_however_many_devices():
    tree = _tree(
        strategy=["single", "ddp"], world_size=2, train={"rows_per_step": 8, "batch_size": 2}
    )
    trains = [cell.recipe.train for cell in expand(tree).cells]
    assert [train.gradient_accumulation for train in trains] == [4, 2]
    plain = expand(_tree(train={"gradient_accumulation": 4, "batch_size": 2})).cells[0].recipe
    assert trains[0] == plain.train


def test_rows_that_cannot_be_shared_out_evenly_are_refused():
    problem = _problem(
        _tree(strategy="ddp", world_size=2, train={"rows_per_step": 6, "batch_size": 2})
    )
    assert problem.key == "train.rows_per_step"
    assert "multiple of the 4 rows that 2 device(s)" in problem.message
    problem = _problem(_tree(strategy="ddp", world_size=3, nodes=2))
    assert problem.key == "nodes"
