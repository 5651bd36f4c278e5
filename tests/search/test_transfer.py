"""A transfer experiment without its trainings: arms, choices, and what is concluded."""

import pytest
from tests.compare.factory import make_train
from tests.search.transferred import grid_of, prepared_transfer, scored_of, valley

from bakeoff.base.errors import UserError
from bakeoff.report.transfer_report import write_transfer_report
from bakeoff.schema.record import LossPoint
from bakeoff.search.transfer_choices import best_rate, choose
from bakeoff.search.transfer_grid import Grid
from bakeoff.search.transfer_result import Scored, make_transfer_result, same_shape


@pytest.fixture
def prepare(tmp_path, tiny_model, tiny_data):
    def prepared(*overrides):
        return prepared_transfer(tmp_path, tiny_model, tiny_data, *overrides)

    return prepared


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
    grid = grid_of(transfer, {"lora": 2.4e-3, "full": 2.4e-4})
    choices = choose(grid, transfer.spec)
    result = make_transfer_result(
        transfer, grid, choices, scored_of(transfer, choices, 2.4e-4), extended=()
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
    grid = grid_of(transfer, {"lora": 2.4e-3, "full": 2.4e-4}, noise=0.0)
    lora = next(key for key, method in grid.methods.items() if method == "lora")
    for rate, row in grid.losses[lora].items():  # with its last seed LoRA was lucky elsewhere
        row[-1] = valley(rate, 4.8e-3, 0.0)
    choices = choose(grid, transfer.spec)
    assert choices.rates["own search"] == pytest.approx(2.4e-4, rel=0.02)
    assert choices.rates["LoRA's rate / fitted"] == pytest.approx(4.8e-4, rel=0.02)


def test_an_edge_has_no_ratio_and_says_what_to_do(prepare):
    transfer = prepare()
    grid = grid_of(transfer, {"lora": 2.4e-3, "full": 1e-2})
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


def test_a_training_that_ends_above_its_start_has_diverged_however_finite_its_loss(prepare):
    def validation(step, loss):
        return LossPoint(step=step, loss=loss, split="validation")

    transfer = prepare()
    trained = make_train("train-a")
    done = []
    for step in transfer.grid().plan.steps:
        if step.kind == "train":
            blew_up = step.train.learning_rate == 1.28e-2 and step.seed == 1
            losses = (validation(0, 1.57), validation(32, 6.46 if blew_up else 0.8))
            done.append((step, trained.model_copy(update={"losses": losses})))
    grid = Grid.of(transfer, done)
    assert grid.losses["LoRA", ()][1.28e-2] == [0.8, None, 0.8]
    assert grid.losses["full fine-tuning", ()][1.28e-3] == [0.8, 0.8, 0.8]


def test_a_ratio_near_the_published_one_whose_interval_leaves_it_out_is_not_called_equal(prepare):
    transfer = prepare()
    grid = grid_of(transfer, {"lora": 1.6e-3, "full": 2.4e-4})
    result = make_transfer_result(
        transfer, grid, choose(grid, transfer.spec), Scored({}, ()), extended=()
    )
    (ratio,) = result.ratios
    assert ratio.what == "as published"
    assert ratio.interval.high < 10
    assert "is below the published 10, but near it (within 5 to 20: TOST" in result.sentence
