"""What holds for every strategy; a new one is tested by its line in the registry.

After a wanted change, write ``golden.txt`` anew with ``BAKEOFF_WRITE_GOLDEN=1`` and read the
difference.
"""

import difflib
import json
import os
import sys
from pathlib import Path, PurePosixPath

import pytest
from tests.backends.plans import make_plan

from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.training import DEEPSPEED_FILE
from bakeoff.interfaces import Inputs
from bakeoff.planning.check import check_distribution, check_optimizer, common_dialect
from bakeoff.runner.distribution import distribution_of
from bakeoff.schema.plan import Dialect, World
from bakeoff.schema.recipe_train import TrainSpec
from bakeoff.strategies import STRATEGIES

GOLDEN = Path(__file__).parent / "golden.txt"
ZERO = [name for name in STRATEGIES.names() if name.startswith("zero")]
FRAMEWORKS = [name for name in BACKENDS.names() if name != "builtin"]


def plan_of(strategy, backend="builtin", **train):
    number = 1 if strategy == "single" else 2
    return make_plan(
        backend=backend,
        strategy=strategy,
        world=World(devices_per_node=number),
        train=TrainSpec(**{"precision": "fp32", "batch_size": 4, **train}),
    )


def render(plan):
    inputs = Inputs(
        python=Path(sys.executable),
        model_dir=Path("MODEL"),
        data_dir=Path("DATA"),
        distribution=distribution_of(plan),
    )
    return BACKENDS.get(plan.backend)().render(plan, inputs, Path("RUN"))


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_a_strategy_says_in_each_of_its_dialects_what_json_can_hold(name):
    strategy = STRATEGIES.get(name)()
    for dialect in strategy.speaks:
        told = strategy.tell(dialect, plan_of(name))
        assert json.loads(json.dumps(told)) == told
        assert told == strategy.tell(dialect, plan_of(name))
    assert list(strategy.check(plan_of(name).world)) == []


@pytest.mark.parametrize("backend", BACKENDS.names())
@pytest.mark.parametrize("name", STRATEGIES.names())
def test_a_strategy_and_a_backend_find_a_dialect_or_the_plan_is_refused(name, backend):
    strategy, accepts = STRATEGIES.get(name)(), BACKENDS.get(backend).accepts
    plan = plan_of(name, backend)
    problems = check_distribution(plan, speaks=strategy.speaks, accepts=accepts)
    if common_dialect(strategy.speaks, accepts) is None:
        (problem,) = problems
        assert problem.key == "strategy"
        assert problem.hint
        return
    assert problems == []
    launch = render(plan)
    assert launch == render(plan)
    starts_several = any("--nproc-per-node=2" in part for part in launch.argv)
    assert starts_several == (name != "single")
    job = json.loads(launch.files[PurePosixPath("job.json")])
    assert (job["spread"] is None) == (name == "single")


def test_what_says_most_is_said():
    everything = frozenset(Dialect)
    assert common_dialect(STRATEGIES.get("fsdp").speaks, everything) is Dialect.HF_FSDP
    assert common_dialect(STRATEGIES.get("zero2").speaks, everything) is Dialect.DEEPSPEED_JSON
    assert common_dialect(frozenset({Dialect.TORCHRUN}), frozenset({Dialect.PLAIN})) is None


def test_one_process_is_for_one_device():
    (problem,) = STRATEGIES.get("single")().check(World(devices_per_node=2))
    assert problem.key == "world_size"
    assert "`ddp`" in problem.hint


@pytest.mark.parametrize("name", ZERO)
def test_all_backends_are_given_one_and_the_same_deepspeed_json(name):
    files = [
        json.loads(render(plan_of(name, backend)).files[PurePosixPath(DEEPSPEED_FILE)])
        for backend in FRAMEWORKS
    ]
    job = json.loads(render(plan_of(name)).files[PurePosixPath("job.json")])
    assert [job["spread"]["settings"], *files[1:]] == files


def test_the_json_has_the_recipes_batch_clipping_and_precision():
    plan = plan_of("zero2", gradient_accumulation=3, max_grad_norm=0.3, precision="bf16")
    told = STRATEGIES.get("zero2")().tell(Dialect.DEEPSPEED_JSON, plan)
    assert told["train_micro_batch_size_per_gpu"] == 4
    assert told["gradient_accumulation_steps"] == 3
    assert told["gradient_clipping"] == 0.3
    assert told["bf16"] == {"enabled": True}


def describe():
    """DeepSpeed's file of each stage, and the lines that a strategy changes in a framework's."""
    parts = []
    for name in ZERO:
        text = render(plan_of(name, FRAMEWORKS[0])).files[PurePosixPath(DEEPSPEED_FILE)]
        parts.append(f"## {name}: {DEEPSPEED_FILE}\n{text}")
    for backend in FRAMEWORKS:
        for name, precision in (
            ("ddp", "bf16"),
            ("fsdp", "bf16"),
            ("zero3", "bf16"),
            ("zero3", "fp32"),
        ):
            changed = difflib.ndiff(
                config_of("single", backend, precision), config_of(name, backend, precision)
            )
            lines = [line for line in changed if line[:2] in ("- ", "+ ")]
            parts.append("\n".join([f"## {backend}, {name}, {precision}", *lines, ""]))
    return "\n".join(parts)


def config_of(name, backend, precision):
    launch = render(plan_of(name, backend, precision=precision))
    (text,) = [text for path, text in launch.files.items() if path.suffix == ".yaml"]
    return text.splitlines()


def test_what_each_strategy_writes_is_known():
    if os.environ.get("BAKEOFF_WRITE_GOLDEN"):
        GOLDEN.write_text(describe(), encoding="utf-8", newline="\n")
    assert describe() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("backend", "device", "on_a_mac", "word"),
    [
        ("builtin", "mps", True, "MPS"),
        ("builtin", "auto", True, "MPS"),
        ("builtin", "cpu", True, None),
        ("swift", "cpu", True, "Mac"),
        ("swift", "auto", False, None),
    ],
)
def test_moments_in_8_bits_are_refused_where_bitsandbytes_is_not(backend, device, on_a_mac, word):
    plan = plan_of("single", backend, optimizer="adamw-8bit").model_copy(update={"device": device})
    messages = [problem.message for problem in check_optimizer(plan, on_a_mac=on_a_mac)]
    assert [word in message for message in messages] == ([True] if word else [])


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_moments_in_8_bits_are_refused_where_they_would_be_parted(name):
    assert check_optimizer(plan_of(name)) == []
    problems = check_optimizer(plan_of(name, optimizer="adamw-8bit"))
    assert [problem.key for problem in problems] == (
        [] if name in ("single", "ddp") else ["train.optimizer"]
    )
