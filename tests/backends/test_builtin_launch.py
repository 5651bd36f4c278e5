"""How the built-in trainer's processes are started."""

from pathlib import Path

import pytest
from tests.backends.plans import make_plan

from bakeoff.backends import BACKENDS
from bakeoff.interfaces import Inputs
from bakeoff.runner.distribution import distribution_of
from bakeoff.schema.plan import World
from bakeoff.strategies import STRATEGIES


def _environment(tmp_path: Path, strategy: str) -> dict[str, str]:
    world = World(devices_per_node=1 if strategy == "single" else 2)
    plan = make_plan(strategy=strategy, world=world)
    inputs = Inputs(
        python=Path("python"),
        model_dir=tmp_path,
        data_dir=tmp_path,
        distribution=distribution_of(plan),
    )
    return BACKENDS.get("builtin")().render(plan, inputs, tmp_path).env


@pytest.mark.parametrize("strategy", STRATEGIES.names())
def test_blocks_are_mapped_each_for_itself_only_where_whole_layers_come_and_go(tmp_path, strategy):
    comes_and_goes = strategy in ("fsdp", "zero3", "zero3-offload")
    assert ("GLIBC_TUNABLES" in _environment(tmp_path, strategy)) == comes_and_goes
