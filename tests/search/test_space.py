"""What is searched, and what a search refuses before anything starts."""

import json

import optuna
import pytest

from bakeoff.base.errors import UserError
from bakeoff.schema.recipe_search import Dimension
from bakeoff.search.default_spaces import DEFAULT_SPACES
from bakeoff.search.prepare import prepare_search
from bakeoff.search.proposals import quiet
from bakeoff.search.space import as_parameters, grid, suggest

BASE = """
name: s
model: {model}
data: {{source: {data}, num_validation: 4}}
device: cpu
seed: 0
"""


def _prepare(folder, model, data, text, *overrides):
    path = folder / "s.yaml"
    base = BASE.format(model=json.dumps(str(model)), data=json.dumps(str(data)))
    path.write_text(base + text, encoding="utf-8")
    return prepare_search(path, overrides, cache_dir=folder / "cache")


@pytest.fixture
def prepare(tmp_path, tiny_model, tiny_data):
    return lambda text, *overrides: _prepare(tmp_path, tiny_model, tiny_data, text, *overrides)


def _dimension(**values):
    return Dimension.model_validate(values)


def test_settings_whose_conditions_do_not_hold_are_not_chosen():
    space = {
        "method": _dimension(choices=["lora", "full"]),
        "lora.rank": _dimension(choices=[4, 8], when={"method": "lora"}),
        "train.learning_rate": _dimension(low=1e-5, high=1e-2, log=True),
    }
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        seen = [suggest(study.ask(), space, {}) for _ in range(20)]
    assert {values["method"] for values in seen} == {"lora", "full"}
    assert all(("lora.rank" in values) == (values["method"] == "lora") for values in seen)
    assert all(1e-5 <= values["train.learning_rate"] <= 1e-2 for values in seen)


def test_a_condition_may_name_what_the_recipe_says():
    space = {"lora.rank": _dimension(choices=[4], when={"method": ["lora", "qlora"]})}
    assert list(grid(space, {"method": "full"})) == [{}]
    assert list(grid(space, {})) == [{"lora.rank": 4}]


def test_a_grid_spells_out_ranges_evenly_on_their_scale_and_each_setting_once():
    space = {
        "method": _dimension(choices=["lora", "full"]),
        "lora.rank": _dimension(
            low=4, high=64, log=True, whole=True, points=3, when={"method": "lora"}
        ),
        "train.warmup_ratio": _dimension(low=0.0, high=0.1, points=2),
    }  # fmt: skip
    found = list(grid(space, {}))
    assert [v["lora.rank"] for v in found if v["method"] == "lora"] == [4, 4, 16, 16, 64, 64]
    assert len([v for v in found if v["method"] == "full"]) == 2
    assert found[0] == {"method": "lora", "lora.rank": 4, "train.warmup_ratio": 0.0}


def test_what_optuna_stores_gives_the_same_setting_again():
    space = {
        "lora.target_modules": _dimension(choices=[["q_proj", "v_proj"], "all-linear"]),
        "train.learning_rate": _dimension(low=1e-5, high=1e-2, log=True),
    }
    values = {"lora.target_modules": "all-linear", "train.learning_rate": 3e-4}
    stored = as_parameters(values, space)
    with quiet():
        study = optuna.create_study()
        study.enqueue_trial(stored)
        assert suggest(study.ask(), space, {}) == values
    assert as_parameters({**values, "train.learning_rate": 0.5}, space) is None


def test_a_trial_is_a_cell_of_the_recipe_with_its_settings_as_axes(prepare):
    search = prepare(
        "train: {learning_rate: [1e-3, 1e-4]}\n"
        "search: {space: {train.learning_rate: {low: 1e-5, high: 1e-2, log: true},"
        " lora.target_modules: [[q_proj], all-linear]}}"
    )
    assert search.own_values() == {"train.learning_rate": 1e-3, "lora.target_modules": "all-linear"}
    study = search.study_of({"train.learning_rate": 2e-3, "lora.target_modules": ["q_proj"]})
    (training,) = [step for step in study.plan.steps if step.kind == "train"]
    assert training.axes["train.learning_rate"] == 2e-3
    assert training.lora.target_modules == ("q_proj",)
    assert [step.kind for step in study.plan.steps] == ["model", "data", "train"]


def test_a_trial_is_the_training_that_an_ordinary_study_has(prepare, tmp_path):
    from bakeoff.runner.prepare import prepare_study

    search = prepare("search: {space: {train.learning_rate: [1e-3, 2e-3]}}")
    trial = search.study_of({"train.learning_rate": 2e-3})
    plain = prepare_study(
        tmp_path / "s.yaml", ["train.learning_rate=2e-3"], cache_dir=tmp_path / "cache"
    )
    ids = [[s.id for s in study.plan.steps if s.kind == "train"] for study in (trial, plain)]
    assert ids[0] == ids[1]


def test_a_proxy_of_fewer_layers_is_another_model_for_the_trials_alone(prepare):
    search = prepare("search: {proxy: {model.num_hidden_layers: 1}}")
    meant = search.study_of({"lora.rank": 8}, proxy=False).plan.steps
    trial = search.study_of({"lora.rank": 8}).plan.steps
    assert [step.model.num_hidden_layers for step in (trial[0], meant[0])] == [1, None]
    assert trial[0].id != meant[0].id
    assert trial[1].id == meant[1].id  # plain text is the same for both


def test_exact_match_is_asked_on_validation_rows_and_never_on_test_rows(prepare):
    space = "space: {train.learning_rate: [1e-3, 2e-3]}, objective: exact_match"
    search = prepare(f"search: {{{space}}}")
    steps = search.study_of({"train.learning_rate": 1e-3}).plan.steps
    (asked,) = [step for step in steps if step.kind == "eval"]
    assert (asked.split, asked.task) == ("validation", "data")
    with pytest.raises(UserError, match="must not be chosen by the rows that judge them"):
        prepare(f"evaluate: {{split: test}}\nsearch: {{{space}}}")
    with pytest.raises(UserError, match="asks its test split"):
        prepare(f"evaluate: {{tasks: gsm8k}}\nsearch: {{{space}}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search: {space: {train.learnin_rate: [1, 2]}}", "learnin_rate`: unknown key"),
        ("search: {space: {train.learning_rate: [1e-3, 5]}}", "at most 1; got 5"),
        ("search: {space: {seed: [1, 2]}}", "is no setting of a training"),
        ("search: {space: {evaluate.limit: [1, 2]}}", "is no setting of a training"),
        ("search: {method: cmaes, space: {lora.rank: [1, 2]}}", "takes ranges of numbers"),
        ("search: {confirm: {seeds: [0, 1]}}", "is the seed of the search itself"),
        ("search: {budget: {cost: 3}}", "needs the price of this machine"),
        ("lora: {rank: [4, 8]}\nsearch: {space: {train.learning_rate: [1e-3, 2e-3]}}",
         "expected one value, for a search has no matrix"),
        ("method: [lora, full]", "each has a default space of its own"),
        ("search: {space: {lora.rank: {low: 8, high: 4}}}", "a `low` below `high`"),
        ("search: {objective: test_loss}", "expected one of 'validation_loss'"),
        ("search: {space: {lora.rank: {choices: [4], when: {method: lora}}, method: [lora]}}",
         "which is chosen later"),
        ("search: {proxy: {model.num_hidden_layers: 3}}", "search.proxy.*asks for 3 layers"),
        ("search: {proxy: {data.num_trains: 3}}", "search.proxy.*unknown key"),
        ("search: {proxy: {train.learning_rate: 0.1}}", "is searched, so that this value"),
        ("search: {proxy: {hub.order: [hub]}}", "makes no training cheaper"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_starts(prepare, text, message):
    with pytest.raises(UserError, match=message):
        prepare(text)


def test_without_validation_rows_nothing_is_searched(prepare):
    with pytest.raises(UserError, match="chooses by validation rows"):
        prepare("", "data.num_validation=0")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_default_space_of_a_method_has_a_source_for_each_setting(prepare, method):
    search = prepare(f"method: {method}")
    assert search.space == DEFAULT_SPACES[method]
    assert all(dimension.source for dimension in search.space.values())


def test_a_larger_budget_goes_on_with_the_same_search_and_another_space_does_not(prepare):
    one = "search: {space: {train.learning_rate: [1e-3, 2e-3]}, budget: {runs: 5}}"
    assert prepare(one).id == prepare(one, "search.budget.runs=50", "search.workers=2").id
    assert prepare(one).id != prepare(one.replace("2e-3", "3e-3")).id
    assert prepare(one).id != prepare(one, "train.batch_size=4").id
