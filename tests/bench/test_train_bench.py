"""`bakeoff bench train` as a person runs it."""

import json
import shutil

import pytest
from tests.backends.environments import cache_dir, interpreter
from tests.command import bakeoff

from bakeoff.bench.settings import Surroundings, choose
from bakeoff.recipes import load_recipe
from bakeoff.schema.bench import SETTINGS, Bench

ON_CPU = Surroundings(on_gpu=False, packages=())


def _bench(folder, model, data, *more, expect=0):
    done = bakeoff(
        folder, "bench", "train", "--model", model, "--data", data, "--rows", 24,
        "--device", "cpu", "--runs-dir", folder / "bench", "--json", *more, expect=expect,
    )  # fmt: skip
    return Bench.model_validate(json.loads(done.stdout)), done.stderr


def test_a_bench_measures_its_cells_and_goes_on_where_it_was(tmp_path, tiny_model, tiny_data):
    options = ["--backends", "builtin", "--settings", "default,best", "--no-warm-up"]
    first, _ = _bench(tmp_path, tiny_model, tiny_data, *options)
    default, best = first.cells
    assert (default.backend, default.method, default.setting) == ("builtin", "lora", "default")
    for values in (default.seconds, default.start_seconds, default.peak_host_bytes,
                   default.added_host_bytes, default.train_loss):  # fmt: skip
        assert len(values) == 1
        assert values[0] > 0
    assert best.seconds == default.seconds, "equal settings are one run of each repeat"
    assert first.work["num_steps"] == 3
    assert first.work["digest"] == default.digest
    assert first.machine["num_usable_cpu_cores"] >= 1
    assert first.ratios == ()

    # As if the second repeat had been killed before its record was written.
    run = tmp_path / "bench" / default.runs[0]
    killed = tmp_path / "bench" / "repeat-2" / run.name
    shutil.copytree(run, killed, ignore=shutil.ignore_patterns("record.json"))
    second, said = _bench(tmp_path, tiny_model, tiny_data, *options, "--repeats", 2)
    again = second.cells[0]
    assert again.seconds[0] == default.seconds[0], "the first repeat was finished"
    assert again.seconds[1] != again.seconds[0], "the second one was measured, from its start"
    record = json.loads((killed / "record.json").read_text(encoding="utf-8"))
    assert record["measurement"]["num_attempts"] == 1
    assert again.train_loss[0] == pytest.approx(again.train_loss[1])
    assert "repeat 2 of 2: builtin, lora, default" in said
    assert len(second.machine["noise"]) == 4


def test_every_setting_leaves_what_decides_the_result_alone():
    costs = {
        "gradient_checkpointing", "memory", "optim", "use_reentrant_gc", "enable_liger_kernel",
        "flash_attn", "use_logits_to_keep", "dataloader_num_workers", "use_liger_kernel",
        "attn_impl", "gradient_checkpointing_kwargs",
    }  # fmt: skip
    rich = Surroundings(on_gpu=True, packages=("liger-kernel", "flash-attn"))
    for around in (ON_CPU, rich):
        for backend in ("builtin", "llamafactory", "swift"):
            for setting in SETTINGS:
                chosen = choose(backend, setting, around)
                if chosen is not None:
                    assert {*chosen.train, *chosen.extra} <= costs
    assert choose("llamafactory", "default", ON_CPU).train["gradient_checkpointing"] is True
    assert choose("swift", "best", ON_CPU).train["gradient_checkpointing"] is False
    assert choose("swift", "best", rich).extra["use_liger_kernel"] is True
    assert "use_liger_kernel" not in choose("swift", "best", ON_CPU).extra


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--settings", "fast"], "fast: expected one or more of default, best, lean"),
        (["--method", "lorra"], "lorra: expected one or more of"),
        (["--backends", "builtn"], "did you mean `builtin`?"),
        (["--set", "train.lerning_rate=1e-3"], "did you mean `learning_rate`?"),
        (["--set", "train.batch_size=[2, 4]"], "`train.batch_size`: expected one value"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(tmp_path, option, said):
    done = bakeoff(tmp_path, "bench", "train", "--backends", "builtin", *option, expect=2)
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_frameworks_do_the_same_work_in_every_setting(tmp_path, tiny_model, tiny_data):
    for name in ("llamafactory", "swift"):
        interpreter(name)  # skips where it is not installed
    found, _ = _bench(
        tmp_path, tiny_model, tiny_data, "--cache-dir", cache_dir(), "--settings", "default,best"
    )
    assert len({cell.digest for cell in found.cells}) == 1
    assert [ratio.refused for ratio in found.ratios] == [None] * 4
    assert len([*(tmp_path / "bench" / "warm-up").glob("train-*/record.json")]) == 3
    for ratio in found.ratios:
        assert ratio.time.median > 0
        assert abs(ratio.loss_difference) < 0.02
    default = next(c for c in found.cells if (c.backend, c.setting) == ("swift", "default"))
    best = next(c for c in found.cells if (c.backend, c.setting) == ("swift", "best"))
    assert default.facts["gradient_checkpointing"] is True
    assert best.facts["gradient_checkpointing"] is False
    recipe = load_recipe(tmp_path / "bench" / "recipes" / "swift-lora-best.yaml").values
    assert recipe["extra"]["swift"]["use_logits_to_keep"] is True
