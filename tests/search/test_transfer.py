"""A transfer experiment without its trainings: arms, choices, and what is concluded."""

import json
import math

import numpy as np
import pytest

from bakeoff.base.errors import UserError
from bakeoff.report.transfer_report import write_transfer_report
from bakeoff.search.transfer_choices import best_rate, choose
from bakeoff.search.transfer_grid import Grid
from bakeoff.search.transfer_plan import prepare_transfer
from bakeoff.search.transfer_result import Scored, make_transfer_result, same_shape

RECIPE = """
name: t
model: {model}
data: {{source: {data}, num_validation: 4}}
device: cpu
method: [lora, full]
seed: [0, 1, 2]
train:
  learning_rate:
    lora: [4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2]
    full: [4e-5, 8e-5, 1.6e-4, 3.2e-4, 6.4e-4, 1.28e-3]
"""


@pytest.fixture
def prepare(tmp_path, tiny_model, tiny_data):
    def prepared(*overrides):
        path = tmp_path / "t.yaml"
        text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
        path.write_text(text, encoding="utf-8")
        return prepare_transfer(path, overrides, cache_dir=tmp_path / "cache")

    return prepared


def _valley(rate, optimum, level):
    return 0.3 + 0.02 * math.log2(rate / optimum) ** 2 + level


def _grid(transfer, optima, *, noise=0.002):
    """Losses as trainings would leave them, whose optima are known by method."""
    draw = np.random.default_rng(5)
    levels = [0.0, 0.03, -0.02]
    losses, methods = {}, {}
    for step in transfer.grid().plan.steps:
        if step.kind == "train":
            key = (transfer.arm_of(step), tuple(transfer.context_of(step).items()))
            methods[key] = step.method
            row = losses.setdefault(key, {}).setdefault(step.train.learning_rate, [])
            loss = _valley(step.train.learning_rate, optima[step.method], levels[step.seed])
            row.append(loss + draw.normal(0, noise))
    return Grid(losses, methods, ())


def _scored(transfer, choices, optimum):
    return Scored(
        {
            rate: {seed: _valley(rate, optimum, 0.01 * seed) for seed in transfer.spec.score_seeds}
            for rate in choices.rates.values()
        },
        (),
    )


def test_the_plan_is_an_ordinary_matrix_without_evaluations(prepare):
    plan = prepare().grid().plan
    kinds = [step.kind for step in plan.steps]
    assert kinds.count("train") == 36
    assert "eval" not in kinds
    assert plan.study == "t-transfer"


def test_arms_are_told_apart_by_method_and_rank_and_share_the_rest(prepare):
    transfer = prepare("lora.rank=[4,16]", "train.batch_size=[4,8]")
    steps = [step for step in transfer.grid().plan.steps if step.kind == "train"]
    assert {transfer.arm_of(step) for step in steps} == {
        "LoRA, rank 4", "LoRA, rank 16", "full fine-tuning",
    }  # fmt: skip
    assert {tuple(transfer.context_of(step).items()) for step in steps} == {
        (("train.batch_size", 4),), (("train.batch_size", 8),),
    }  # fmt: skip


def test_known_optima_are_concluded_and_drawn(prepare, tmp_path):
    transfer = prepare()
    grid = _grid(transfer, {"lora": 2.4e-3, "full": 2.4e-4})
    choices = choose(grid, transfer.spec)
    result = make_transfer_result(
        transfer, grid, choices, _scored(transfer, choices, 2.4e-4), extended=()
    )
    (ratio,) = result.ratios
    assert ratio.ratio == pytest.approx(10, rel=0.1)
    assert ratio.interval.low < 10 < ratio.interval.high
    assert ratio.what == "as published"
    assert result.ranks[0].kendall > 0.8
    found = {regret.choice: regret for regret in result.regrets}
    assert found["own search"].what == "own"
    assert found["LoRA's rate / published"].what == "none"
    assert found["LoRA's rate"].what == found["default"].what == "some"
    assert "agrees with the published 10" in result.sentence
    assert any("6 settings say little about an order" in note for note in result.notes)

    page = write_transfer_report(
        result, tmp_path / "report", ("bakeoff", "transfer", "t.yaml")
    ).html
    pictures = {path.stem for path in (page.parent / "figures").iterdir()}
    assert pictures == {"curves", "overlay", "regret"}
    text = (page.parent / "report.md").read_text(encoding="utf-8")
    assert "What this does not show" in text
    assert "agrees with the published 10" in text


def test_the_fitted_ratio_does_not_know_the_rate_it_is_held_against(prepare):
    transfer = prepare()
    grid = _grid(transfer, {"lora": 2.4e-3, "full": 2.4e-4}, noise=0.0)
    lora = next(key for key, method in grid.methods.items() if method == "lora")
    for rate, row in grid.losses[lora].items():  # with its last seed LoRA was lucky elsewhere
        row[-1] = _valley(rate, 4.8e-3, 0.0)
    choices = choose(grid, transfer.spec)
    assert choices.rates["own search"] == pytest.approx(2.4e-4, rel=0.02)
    assert choices.rates["LoRA's rate / fitted"] == pytest.approx(4.8e-4, rel=0.02)


def test_an_edge_has_no_ratio_and_says_what_to_do(prepare):
    transfer = prepare()
    grid = _grid(transfer, {"lora": 2.4e-3, "full": 1e-2})
    result = make_transfer_result(
        transfer, grid, choose(grid, transfer.spec), Scored({}, ()), extended=()
    )
    assert result.ratios == ()
    assert "full fine-tuning: edge" in result.sentence
    assert any("`--extend` adds rates" in note for note in result.notes)
    assert best_rate(grid.losses["full fine-tuning", ()]) == 1.28e-3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=lora", "train.learning_rate=[1e-4,2e-4,4e-4,8e-4]"], "expected `full` and"),
        (["seed=0"], "one seed cannot tell"),
        (["transfer.score_seeds=[2,9]"], "2 is a seed of the grid"),
        (["train.learning_rate=[1e-4,1e-3]"], "cannot show where the best one lies"),
        (["data.num_validation=0"], "there are no rows"),
    ],
)
def test_what_cannot_answer_the_question_is_refused(prepare, overrides, message):
    with pytest.raises(UserError, match=message):
        prepare(*overrides)


def test_grids_of_one_shape_differ_by_a_factor_alone():
    assert same_shape([1e-4, 2e-4, 4e-4], [1e-5, 2e-5, 4e-5])
    assert not same_shape([1e-4, 2e-4, 4e-4], [1e-5, 3e-5, 4e-5])
    assert not same_shape([1e-4, 2e-4], [1e-5])
