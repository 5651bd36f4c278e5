"""Cells become steps, each once, each with a content id."""

import pytest

from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.schema.plan import EvalPlan, TrainPlan, first_of, run_name

PRINTS = Fingerprints(of_model=lambda spec: spec.source, of_data=lambda spec: spec.source)


def _plan(**keys):
    tree = {"name": "t", "model": "m", "data": "d", **keys}
    return make_plan(expand(tree), PRINTS)


def _ids(plan, kind):
    return [step.id for step in plan.steps if step.kind == kind]


def test_the_untouched_model_is_scored_once_for_all_cells():
    plan = _plan(method=["lora", "full"], seed=[0, 1])
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["model", "data", "eval", *["train", "eval"] * 4]
    assert [s.train_id for s in plan.steps if isinstance(s, EvalPlan)].count(None) == 1


def test_every_number_of_examples_is_a_run_of_its_own():
    plan = _plan(evaluate={"num_fewshot": [0, 5], "tasks": ["data", "gsm8k"]})
    asked = [
        (s.task, s.num_fewshot) for s in plan.steps if isinstance(s, EvalPlan) and not s.train_id
    ]
    assert asked == [("data", 0), ("data", 5), ("gsm8k", 0), ("gsm8k", 5)]


def test_a_changed_seed_redoes_only_what_depends_on_it():
    before, after = _plan(seed=0), _plan(seed=1)
    for kind in ("model", "data"):
        assert _ids(before, kind) == _ids(after, kind)
    assert _ids(before, "eval")[0] == _ids(after, "eval")[0]
    assert _ids(before, "eval")[1] != _ids(after, "eval")[1]
    assert _ids(before, "train") != _ids(after, "train")


def test_trainings_for_timing_come_in_turns_before_anything_is_scored():
    plan = _plan(method=["lora", "full"], measure={"repeats": 3}, evaluate={"base": False})
    trainings = [step for step in plan.steps if isinstance(step, TrainPlan)]
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["model", "data", *["train"] * 6, "eval", "eval"]
    assert [(t.method, t.turn) for t in trainings] == [
        (method, turn) for turn in (1, 2, 3) for method in ("lora", "full")
    ]
    lora, full = trainings[:2]
    assert [t.repeats for t in trainings] == [None, None, *[lora.id, full.id] * 2]
    assert len({t.id for t in trainings}) == 6
    assert [s.train_id for s in plan.steps if isinstance(s, EvalPlan)] == [lora.id, full.id]
    assert run_name(first_of(trainings[4])) == run_name(lora)


def test_measuring_otherwise_changes_no_content_id():
    plain = _plan()
    priced = _plan(
        measure={"interval_seconds": 1, "price_per_hour": 2, "currency": "CNY", "repeats": 2}
    )
    assert {step.id for step in plain.steps} < {step.id for step in priced.steps}


def test_an_added_axis_value_keeps_the_ids_of_what_was_there():
    before, after = _plan(method=["lora"]), _plan(method=["lora", "full"])
    assert {step.id for step in before.steps} <= {step.id for step in after.steps}


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        ({"model": "other"}, {"model", "train", "eval"}),
        ({"data": "other"}, {"data", "train", "eval"}),
        ({"prompt": {"text": "Q: {{prompt}}"}}, {"data", "train", "eval"}),
        ({"train": {"batch_size": 3}}, {"train"}),
        ({"evaluate": {"max_new_tokens": 3}}, {"eval"}),
        ({"name": "other"}, set()),
    ],
)
def test_an_id_changes_with_what_the_step_depends_on(keys, changed):
    before, after = _plan(), _plan(**keys)
    for kind in ("model", "data", "train"):
        assert (_ids(before, kind) != _ids(after, kind)) == (kind in changed)
    assert (_ids(before, "eval")[0] != _ids(after, "eval")[0]) == ("eval" in changed)


def test_lora_settings_do_not_change_a_full_fine_tuning():
    full = {"method": "full"}
    assert _ids(_plan(**full), "train") == _ids(_plan(**full, lora={"rank": 64}), "train")


def test_every_run_id_is_a_plain_folder_name():
    for step in _plan(method=["lora", "full"]).steps:
        if isinstance(step, TrainPlan | EvalPlan):
            assert run_name(step).replace("-", "").isalnum()


def test_more_training_rows_do_not_ask_the_untouched_model_again():
    plan = _plan(data={"source": "d", "num_train": [8, 16]})
    assert [s.train_id for s in plan.steps if isinstance(s, EvalPlan)].count(None) == 1
    assert len(_ids(plan, "train")) == 2


def test_examples_come_from_the_training_rows_and_count():
    plan = _plan(data={"source": "d", "num_train": [8, 16]}, evaluate={"num_fewshot": 1})
    assert [s.train_id for s in plan.steps if isinstance(s, EvalPlan)].count(None) == 2


def test_another_interval_of_checkpoints_trains_nothing_again():
    assert _ids(_plan(), "train") == _ids(_plan(train={"save_every": 7}), "train")


def test_a_training_that_several_evaluations_share_has_no_axis_of_theirs():
    plan = _plan(evaluate={"max_new_tokens": [4, 5]})
    trainings = [step for step in plan.steps if isinstance(step, TrainPlan)]
    assert [list(step.axes) for step in trainings] == [
        ["backend", "method", "strategy", "world_size", "seed"]
    ]
    tuned = [step for step in plan.steps if isinstance(step, EvalPlan) and step.train_id]
    assert [step.axes["evaluate.max_new_tokens"] for step in tuned] == [4, 5]


def test_a_source_is_looked_at_once_for_all_cells():
    looked = []
    prints = Fingerprints(
        of_model=lambda spec: spec.source,
        of_data=lambda spec: looked.append(spec.source) or spec.source,
    )
    tree = {"name": "t", "model": "m", "data": "d", "seed": [0, 1, 2]}
    make_plan(expand(tree), prints)
    assert looked == ["d"]
