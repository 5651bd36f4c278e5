"""When a trial is ended, by the events of its training."""

import math

from bakeoff.runner.observer import Position
from bakeoff.schema.events import StepEvent, ValidationEvent
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.search.watch import TrialWatch


class Ear:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *arguments, **_: self.told.append((name, *arguments))


def _plan(**train):
    return TrainPlan(
        id="t", model_id="m", data_id="d", backend="builtin", method="lora", strategy="single",
        device="cpu", seed=0, train=TrainSpec(**train), lora=None, axes={},
    )  # fmt: skip


def _step(step, loss, num_steps=20):
    return StepEvent(at=0.0, step=step, num_steps=num_steps, loss=loss)


def _watch(plan, falls_behind_at=None):
    asked = []

    def should_prune(percent, loss):
        asked.append((percent, loss))
        return falls_behind_at is not None and percent >= falls_behind_at

    watch = TrialWatch(Ear(), should_prune)
    watch.step_started(plan, Position(1, 1))
    return watch, asked


def test_training_losses_are_looked_at_from_a_fifth_of_the_training_on():
    plan = _plan()
    watch, asked = _watch(plan)
    for step in range(1, 21):
        watch.event(plan, _step(step, 20.0 - step))
    assert [percent for percent, _ in asked] == [20, 30, 40, 50, 60, 70, 80, 90]
    assert asked[0] == (20, 16.0)
    assert asked[2] == (40, 12.5)  # the mean of the last quarter: steps 7 and 8
    assert watch.why_end(plan) is None
    assert watch.curve[-1][0] == 100


def test_a_recipe_that_validates_is_judged_by_validation_rows_alone():
    plan = _plan(validate_every=5)
    watch, asked = _watch(plan)
    watch.event(plan, ValidationEvent(at=0.0, step=0, loss=9.0))
    for step in range(1, 21):
        watch.event(plan, _step(step, 1.0))
        if step % 5 == 0:
            watch.event(plan, ValidationEvent(at=0.0, step=step, loss=float(step)))
    assert asked == [(25, 5.0), (50, 10.0), (75, 15.0)]


def test_what_falls_behind_is_ended_once_and_its_evaluation_is_not():
    plan = _plan()
    watch, asked = _watch(plan, falls_behind_at=30)
    for step in range(1, 11):
        watch.event(plan, _step(step, 3.0))
    assert [percent for percent, _ in asked] == [20, 30]
    assert watch.is_pruned
    assert watch.why_end(plan) == (
        "pruned at 30 % of its steps: a loss of 3 falls behind the others"
    )


def test_a_training_that_has_done_its_last_step_is_left_to_finish():
    plan = _plan()
    watch, _ = _watch(plan, falls_behind_at=90)
    for step in range(1, 21):
        watch.event(plan, _step(step, 3.0))
    assert watch.why_end(plan) is None


def test_a_loss_that_is_no_number_is_the_worst():
    plan = _plan()
    watch, asked = _watch(plan)
    for step in range(1, 5):
        watch.event(plan, _step(step, None))
    assert asked == [(20, math.inf)]


def test_an_interrupted_training_is_not_looked_at_twice_at_the_same_place():
    plan = _plan(validate_every=5)
    watch, asked = _watch(plan)
    for step in (10, 5, 10, 15):
        watch.event(plan, _step(step, 1.0))
        watch.event(plan, ValidationEvent(at=0.0, step=step, loss=1.0))
    assert [percent for percent, _ in asked] == [50, 75]
