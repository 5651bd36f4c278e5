"""However a training is spread over processes, it learns the same."""

import json
from types import SimpleNamespace

import pytest
import torch
from tests.backends.plans import make_plan
from tests.worker import training
from tests.worker.ranks import Ranks, interrupt

from bakeoff.schema.plan import Dialect, World
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.strategies import STRATEGIES
from bakeoff.worker import train
from bakeoff.worker.dealing import deal, passes_of
from bakeoff.worker.loop import Loop
from bakeoff.worker.rows import Row

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

TOLERANCE = 1e-5
"""Relative, of losses and gradient norms in fp32: sums in another order differ by 1e-7."""

TORCH = ["ddp", "fsdp"]
ZERO = ["zero1", "zero2", "zero3", "zero2-offload", "zero3-offload"]
EVERY = [*TORCH, *[pytest.param(name, marks=pytest.mark.slow) for name in ZERO]]
SOME = [*TORCH, pytest.param("zero3", marks=pytest.mark.slow)]
SETTINGS = {"num_epochs": 2.0, "save_every": 3, "max_grad_norm": 0.5}
"""13 rows, 4 a step: the last step of an epoch has one row, so one process has none."""


@pytest.fixture(scope="module")
def ranks():
    server = Ranks()
    yield server
    server.close()


@pytest.fixture(scope="module")
def work(tiny_model, tmp_path_factory):
    """Jobs over the same rows, and runs of one process, made when they are asked for."""
    data = training.write_data(tmp_path_factory.mktemp("spread"), num_train=13)
    made = {}

    def job(**settings):
        return training.job(tiny_model, data, **{**SETTINGS, **settings})

    def single(**settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("single")
            train.main(job(**settings), made[key])
        return made[key]

    return SimpleNamespace(job=job, single=single)


def told(name, batch_size=2):
    """Kind and settings, as the built-in trainer is told a strategy."""
    strategy = STRATEGIES.get(name)()
    plan = make_plan(
        strategy=name,
        world=World(devices_per_node=2),
        train=TrainSpec(precision="fp32", batch_size=batch_size, max_grad_norm=0.5),
    )
    if Dialect.TORCHRUN in strategy.speaks:
        return strategy.tell(Dialect.TORCHRUN, plan)["kind"], {}
    return "deepspeed", dict(strategy.tell(Dialect.DEEPSPEED_JSON, plan))


def assert_same_curve(found, expected):
    found, expected = training.losses(found), training.losses(expected)
    assert list(found) == list(expected)
    for step, values in expected.items():
        assert found[step] == pytest.approx(values, rel=TOLERANCE), step


def tensors_of(folder, name):
    from safetensors.torch import load_file

    return load_file(folder / "artefact" / name)


def validations(folder):
    return [event["loss"] for event in training.read_events(folder, "validation")]


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", EVERY)
def test_a_spread_training_has_the_curve_and_leaves_the_weights_of_a_single_one(
    name, method, ranks, work, tmp_path
):
    expected = work.single(method=method)
    job = work.job(method=method, batch_size=2)
    found = ranks.train(job, tmp_path / "run", told(name))
    assert_same_curve(found, expected)
    assert validations(found) == pytest.approx(validations(expected), rel=TOLERANCE)
    file = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    ours, theirs = tensors_of(found, file), tensors_of(expected, file)
    assert sorted(ours) == sorted(theirs)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-3, atol=2e-5, msg=key)
    told_facts = json.loads((found / "result.json").read_text())
    reference = json.loads((expected / "result.json").read_text())
    for fact in ("batch_digest", "num_total_parameters", "num_trained_parameters"):
        assert told_facts[fact] == reference[fact]
    assert told_facts["effective"]["num_processes"] == 2
    exchange = json.loads((found / "exchange.json").read_text())
    # A sum that two processes get sends as many bytes as it has.
    assert exchange["num_bytes"] >= 4 * told_facts["num_trained_parameters"]
    assert not list(found.glob("checkpoint-*"))


@pytest.mark.parametrize("name", SOME)
def test_passes_of_gradient_accumulation_and_lean_memory_change_nothing(
    name, ranks, work, tmp_path
):
    settings = {"batch_size": 1, "gradient_accumulation": 2, "memory": "lean"}
    job = work.job(method="full", **settings)
    found = ranks.train(job, tmp_path / "run", told(name, batch_size=1))
    assert_same_curve(found, work.single(method="full"))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("ddp", "lora"),
        ("fsdp", "full"),
        ("fsdp", "lora"),
        *(pytest.param(name, "full", marks=pytest.mark.slow) for name in ZERO),
        pytest.param("zero3", "lora", marks=pytest.mark.slow),
    ],
)
def test_a_training_goes_on_with_other_processes_from_the_checkpoint_of_some(
    name, method, ranks, work, tmp_path
):
    expected = work.single(method=method)
    job = work.job(method=method, batch_size=2)
    first, second = (tmp_path / "first"), (tmp_path / "second")
    cut = {**job, "interrupt_after": 5}
    assert ranks.codes(cut, first, told(name)) == [1, 1]
    assert [path.name for path in first.glob("checkpoint-*")] == ["checkpoint-00000003"]
    second.mkdir()
    (first / "checkpoint-00000003").rename(second / "checkpoint-00000003")
    # First a single process goes on with what several left, then the other way round.
    train.main(work.job(method=method), second)
    found = training.losses(second)
    assert list(found) == [4, 5, 6, 7, 8]
    for step, values in found.items():
        assert values == pytest.approx(training.losses(expected)[step], rel=TOLERANCE)


@pytest.mark.parametrize("name", EVERY)
def test_several_processes_go_on_from_the_checkpoint_of_one(name, ranks, work, tmp_path):
    expected = work.single(method="full")
    run = tmp_path / "run"
    run.mkdir()
    plain = work.job(method="full")
    with pytest.raises(KeyboardInterrupt):
        interrupted(plain, run, after=5)
    job = work.job(method="full", batch_size=2)
    ranks.train(job, run, told(name))
    assert_same_curve(run, expected)
    resumed = [event["step"] for event in training.read_events(run, "resume")]
    assert resumed == [3]


def interrupted(job, run, *, after):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", Loop._step)
        interrupt(after)
        train.main(job, run)


def row(length):
    return Row(str(length), [1] * length, [1] * length)


def test_processes_get_about_as_many_tokens_and_an_even_share_of_rows():
    rows = [row(length) for length in (9, 2, 8, 3, 4)]
    dealt = [[len(r.token_ids) for r in some] for some in deal(rows, 2)]
    assert dealt == [[9, 2, 3], [8, 4]]
    assert deal(rows, 1) == [rows]
    assert [len(some) for some in deal(rows[:1], 3)] == [1, 0, 0]


def test_all_processes_go_through_equally_many_passes():
    def cut(rows):
        return [[one] for one in rows]

    rows = [row(5), row(4), row(3)]
    passes = [passes_of(rows, rank, 2, cut) for rank in range(2)]
    assert [(len(own), more) for own, more in passes] == [(1, 1), (2, 0)]
    assert passes_of([], 0, 2, cut) == ([], 0)
