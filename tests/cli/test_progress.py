"""What a person sees while a study runs."""

import io

from rich.console import Console

from bakeoff.cli.estimate import Estimator
from bakeoff.cli.progress import make_observer
from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.runner.observer import Position
from bakeoff.runner.progress import step_name
from bakeoff.schema.events import PhaseEvent, StepEvent, WarningEvent


def _plan(**keys):
    tree = {"name": "t", "model": "m", "data": "d", "method": ["lora", "full"], **keys}
    prints = Fingerprints(of_model=lambda spec: spec.source, of_data=lambda spec: spec.source)
    return make_plan(expand(tree), prints)


def _step(number):
    return StepEvent(at=0.0, step=number, num_steps=10, loss=1.5)


def _watch(console, calls):
    plan = _plan()
    step = plan.steps[3]
    with make_observer(console, plan, ()) as observer:
        observer.step_started(step, Position(4, len(plan.steps)))
        calls(observer, step)
        observer.step_finished(step, None, reused=False)


def _train(observer, step):
    observer.event(step, PhaseEvent(at=0.0, phase="load_model"))
    observer.event(step, PhaseEvent(at=0.0, phase="train"))
    observer.event(step, _step(1))
    observer.event(step, WarningEvent(at=0.0, text="mind the gap"))
    observer.event(step, PhaseEvent(at=0.0, phase="validate"))
    observer.event(step, _step(2))


def test_a_log_gets_a_line_at_the_start_at_the_end_and_for_each_warning():
    stream = io.StringIO()
    _watch(Console(file=stream, width=100), _train)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines[0] == "[4/7] train lora builtin ..."
    assert lines[1] == "  warning: mind the gap"
    assert lines[2].startswith("✓ [4/7] train lora builtin")
    assert len(lines) == 3


def test_a_terminal_gets_a_bar_with_phase_step_loss_and_time_left():
    stream = io.StringIO()
    console = Console(file=stream, width=140, force_terminal=True, color_system=None)
    _watch(console, _train)
    drawn = stream.getvalue()
    assert "[4/7] train lora builtin: validation loss" in drawn
    assert "2/10" in drawn
    assert "loss 1.500" in drawn
    assert " left, study: at least " in drawn


def test_steps_that_are_alike_are_taken_to_last_alike():
    plan = _plan()
    model, data, base, lora, lora_eval, full, full_eval = plan.steps
    estimator = Estimator(plan, ())
    for step, seconds in ((model, 5.0), (data, 1.0), (base, 40.0)):
        estimator.finished(step, seconds)
    estimate = estimator.left(lora, elapsed=60.0, left_in_step=20.0)
    assert estimate is not None
    # 20 s of this training, 80 s of the other one, two evaluations of 40 s
    assert (estimate.seconds, estimate.is_lower_bound) == (180.0, False)
    estimator.finished(lora, 100.0)
    estimator.finished(lora_eval, 30.0)
    later = estimator.left(full, elapsed=10.0, left_in_step=50.0)
    assert later is not None
    assert later.seconds == 50.0 + 35.0
    assert full_eval in plan.steps


def test_an_unseen_kind_of_step_makes_the_estimate_a_lower_bound():
    plan = _plan()
    base = plan.steps[2]
    estimate = Estimator(plan, ()).left(base, elapsed=10.0, left_in_step=30.0)
    assert estimate is not None
    assert estimate.is_lower_bound


def test_steps_that_are_done_already_cost_nothing():
    plan = _plan()
    done = [step_name(step) for step in plan.steps[3:]]
    estimate = Estimator(plan, done).left(plan.steps[2], elapsed=1.0, left_in_step=2.0)
    assert estimate is not None
    assert (estimate.seconds, estimate.is_lower_bound) == (2.0 + 2 * 1.0, False)
