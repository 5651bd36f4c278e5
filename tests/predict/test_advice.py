"""What is advised makes a training fit, and costs no more than it must."""

import pytest
from tests.backends.plans import make_plan

from bakeoff.predict.advice import advise
from bakeoff.predict.duration import padded_mean
from bakeoff.predict.facts import work_of
from bakeoff.predict.gpus import GPUS
from bakeoff.predict.memory import predict_analytic
from bakeoff.predict.shape import known_shape
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec

GPU = GPUS["rtx4060-8gb"]


def _predict(name):
    shape = known_shape(name)

    def predict(plan):
        work = work_of(plan, shape, tokens=min(512, plan.train.max_length), gpu=GPU)
        return work, predict_analytic(work, GPU)

    return predict


def _applied(plan, changes):
    train, fields = plan.train, {}
    for change in changes:
        for setting in change.settings:
            key, _, value = setting.partition("=")
            if key.startswith("train."):
                known = getattr(train, key[6:])
                made = value == "true" if isinstance(known, bool) else type(known)(value)
                train = train.model_copy(update={key[6:]: made})
            else:
                fields[key] = value
    return plan.model_copy(update={"train": train, **fields})


@pytest.mark.parametrize(
    ("method", "limit_gb"), [("lora", 6), ("full", 16), ("full", 8), ("lora", 4)]
)
def test_with_all_changes_it_fits(method, limit_gb):
    plan = make_plan(
        backend="swift", method=method, device="cuda", train=TrainSpec(), lora=LoraSpec()
    )
    predict = _predict("Qwen/Qwen2.5-1.5B")
    limit = round(limit_gb * 1e9)
    changes = advise(plan, predict, limit)
    assert changes
    needed = predict(_applied(plan, changes))[1].needed_bytes
    assert needed <= limit
    assert changes[-1].needed_bytes == needed


def test_what_keeps_the_result_comes_before_what_changes_it():
    plan = make_plan(
        backend="swift", method="full", device="cuda", train=TrainSpec(), lora=LoraSpec()
    )
    changes = advise(plan, _predict("Qwen/Qwen2.5-1.5B"), round(8e9))
    kept = [change.keeps_result for change in changes]
    assert kept == sorted(kept, reverse=True)


def test_moments_in_8_bits_are_tried_before_the_method_is_changed():
    predict = _predict("Qwen/Qwen2.5-1.5B")
    train = TrainSpec(batch_size=1, memory="lean", precision="bf16-mixed")
    plan = make_plan(backend="builtin", method="full", device="cuda", train=train)
    changes = advise(plan, predict, round(20e9))
    assert [change.settings for change in changes] == [("train.optimizer=adamw-8bit",)]


def test_nothing_for_gpus_alone_is_advised_on_a_cpu():
    shape = known_shape("Qwen/Qwen2.5-1.5B")

    def predict(plan):
        work = work_of(plan, shape, tokens=256, gpu=None)
        return work, predict_analytic(work, None)

    for method in ("full", "lora"):
        plan = make_plan(method=method, device="auto", train=TrainSpec(), lora=LoraSpec())
        for limit in (4e9, 8e9, 12e9):
            settings = [
                s for change in advise(plan, predict, round(limit)) for s in change.settings
            ]
            assert not {"train.optimizer=adamw-8bit", "method=qlora"} & set(settings)


def test_rows_of_a_step_stay_as_many():
    plan = make_plan(backend="swift", device="cuda", train=TrainSpec(batch_size=8))
    changes = advise(plan, _predict("Qwen/Qwen2.5-1.5B"), round(7e9))
    train = _applied(plan, changes).train
    assert train.batch_size * train.gradient_accumulation == 8


def test_a_model_that_is_too_large_gets_no_false_hope():
    plan = make_plan(backend="swift", method="full", device="cuda", train=TrainSpec())
    assert advise(plan, _predict("meta-llama/Llama-2-70b-hf"), round(8e9)) == ()


def test_padding_grows_with_the_rows_of_a_pass():
    assert padded_mean(190, 285, 1) == pytest.approx(190)
    assert 190 < padded_mean(190, 285, 2) < padded_mean(190, 285, 8) < 400
