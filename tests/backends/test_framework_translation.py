"""Recipe -> the framework's own file: what each key of the recipe changes there.

After a wanted change, write the files in ``golden/`` anew with ``BAKEOFF_WRITE_GOLDEN=1`` and read
the difference.
"""

import difflib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.backends.environments import interpreter, needs_environment
from tests.backends.plans import make_plan

from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.config_text import scalar
from bakeoff.backends.frameworks.defaults import defaults_of
from bakeoff.interfaces import Inputs
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.recipe_train import FreezeSpec, LoraSpec, TrainSpec

FRAMEWORKS = [name for name in BACKENDS.names() if needs_environment(name)]
GOLDEN = Path(__file__).parent / "golden"
INPUTS = Inputs(python=Path(sys.executable), model_dir=Path("MODEL"), data_dir=Path("DATA"))

TRAIN = {
    "learning_rate": 1e-5,
    "scheduler": "constant",
    "warmup_ratio": 0.1,
    "num_epochs": 2.5,
    "max_steps": 7,
    "batch_size": 3,
    "gradient_accumulation": 2,
    "max_length": 512,
    "overlong": "error",
    "loss_on": "all",
    "precision": "fp32",
    "optimizer": "adamw-8bit",
    "weight_decay": 0.1,
    "adam_beta1": 0.8,
    "adam_beta2": 0.95,
    "adam_epsilon": 1e-6,
    "max_grad_norm": 0.0,
    "gradient_checkpointing": True,
    "memory": "lean",
    "validate_every": 5,
    "save_every": 0,
}
LORA = {
    "rank": 8,
    "alpha": 4.5,
    "dropout": 0.1,
    "target_modules": ("q_proj", "v_proj"),
    "use_rslora": True,
    "use_dora": True,
    "lora_plus_ratio": 16.0,
    "init": "pissa",
}
OTHERS = {
    "method: full": {"method": "full", "lora": None},
    "method: qlora": {"method": "qlora", "device": "cuda"},
    "method: freeze": {"method": "freeze", "lora": None, "freeze": FreezeSpec(trainable_layers=3)},
    "train.precision: bf16-mixed": {"train": TrainSpec(precision="bf16-mixed")},
    "train.scheduler: linear": {"train": TrainSpec(scheduler="linear")},
    "device: cpu": {"device": "cpu"},
    "seed: 3": {"seed": 3},
    "model.trust_remote_code: true": {"trust_remote_code": True},
    "extra: {neftune_noise_alpha: 5, optim: adamw_torch_fused}": {
        "extra": {"neftune_noise_alpha": 5, "optim": "adamw_torch_fused"}
    },
}


def changes() -> dict[str, dict]:
    """What a plan has instead of the defaults, by how the recipe says it."""
    train = {f"train.{k}: {v}": {"train": TrainSpec(**{k: v})} for k, v in TRAIN.items()}
    lora = {f"lora.{k}: {v}": {"lora": LoraSpec(**{k: v})} for k, v in LORA.items()}
    return {**train, **lora, **OTHERS}


def plan_with(**values) -> TrainPlan:
    return make_plan(**{"train": TrainSpec(), "lora": LoraSpec(), "device": "auto", **values})


def config_of(name: str, plan: TrainPlan) -> str:
    backend = BACKENDS.get(name)()
    made = backend.render(plan, INPUTS, Path("RUN"))
    return "".join(text for path, text in made.files.items() if path.suffix == ".yaml")


def describe(name: str) -> str:
    """The whole file once, then the lines that each key of the recipe changes."""
    default = config_of(name, plan_with())
    parts = [default]
    for title, values in changes().items():
        lines = difflib.ndiff(
            default.splitlines(), config_of(name, plan_with(**values)).splitlines()
        )
        changed = [line for line in lines if line[:2] in ("- ", "+ ")]
        parts.append("\n".join([f"## {title}", *(changed or ["(nothing)"]), ""]))
    return "\n".join(parts)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_key_of_the_recipe_changes_the_lines_that_are_known(name):
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("BAKEOFF_WRITE_GOLDEN"):
        golden.write_text(describe(name), encoding="utf-8", newline="\n")
    assert describe(name) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(("spec", "tried"), [(TrainSpec, TRAIN), (LoraSpec, LORA)])
def test_every_hyper_parameter_of_the_recipe_is_tried(spec, tried):
    # What is excluded from a plan has become other settings by then.
    assert set(tried) == {key for key, field in spec.model_fields.items() if not field.exclude}
    assert all(value != spec.model_fields[key].get_default() for key, value in tried.items())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_line_is_yaml_and_json_alike(name):
    from ruamel.yaml import YAML

    text = config_of(name, plan_with(train=TrainSpec(learning_rate=1e-5, adam_epsilon=1e-12)))
    values = YAML(typ="safe").load(text)
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            assert json.loads(value) == values[key]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_key_that_the_recipe_has_is_refused_in_extra(name):
    backend = BACKENDS.get(name)()
    (problem,) = backend.check(plan_with(extra={"learning_rate": 1.0}))
    assert problem.key == f"extra.{name}.learning_rate"
    assert problem.hint == "use `train.learning_rate` instead"


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("key", ["output_dir", "logging_steps", "dataset", "save_total_limit"])
def test_a_key_that_a_run_hangs_on_is_refused_in_extra(name, key):
    (problem,) = BACKENDS.get(name)().check(plan_with(extra={key: "x"}))
    assert problem.key == f"extra.{name}.{key}"
    assert problem.hint == "leave it out"


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"method": "qlora", "device": "cpu"}, "method"),
        ({"method": "qlora", "train": TrainSpec(precision="fp32")}, "train.precision"),
        ({"method": "qlora", "lora": LoraSpec(init="pissa")}, "lora.init"),
        ({"method": "freeze"}, "freeze"),
        ({"train": TrainSpec(overlong="truncate-prompt-left")}, "train.overlong"),
    ],
)
def test_what_a_framework_cannot_do_is_refused_with_a_way_out(name, values, key):
    (problem,) = BACKENDS.get(name)().check(plan_with(**values))
    assert problem.key == key
    assert problem.hint


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"method": "qlora"}, "method"),
        ({"lora": LoraSpec(init="pissa")}, "lora.init"),
        ({"extra": {"optim": "sgd"}}, "extra.builtin.optim"),
    ],
)
def test_what_the_built_in_trainer_cannot_do_is_refused_with_a_way_out(values, key):
    (problem,) = BACKENDS.get("builtin")().check(plan_with(**values))
    assert problem.key == key
    assert problem.hint


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_key_that_is_refused_in_extra_is_set_or_could_undo_what_is_set(name):
    backend = BACKENDS.get(name)()
    assert not set(backend.recipe_keys) & backend.plumbing


def test_a_learning_rate_of_any_size_is_a_number_for_every_yaml_reader():
    for value in (1e-5, 1.5e-12, 3e20, 0.1, 1.0):
        text = scalar(value)
        assert "." in text
        assert math.isclose(float(text), value)


DEFAULTS = """
import dataclasses, json, sys
if sys.argv[1] == "llamafactory":
    from llamafactory.hparams import data_args, finetuning_args, training_args
    kinds = [finetuning_args.FinetuningArguments, data_args.DataArguments,
             training_args.TrainingArguments]
else:
    from swift.arguments import SftArguments
    kinds = [SftArguments]
found = {}
for kind in kinds:
    for field in dataclasses.fields(kind):
        if isinstance(field.default, (int, float, str, bool)):
            found.setdefault(field.name, field.default)
print(json.dumps(found))
"""
OUR_NAMES = {
    "lr_scheduler_type": "scheduler", "num_train_epochs": "num_epochs",
    "per_device_train_batch_size": "batch_size", "cutoff_len": "max_length",
    "gradient_accumulation_steps": "gradient_accumulation",
    "use_rslora": "lora_use_rslora", "use_dora": "lora_use_dora",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llamafactory", "swift"])
def test_the_defaults_that_pages_show_are_those_of_the_framework(tmp_path, name):
    done = subprocess.run(
        [interpreter(name), "-c", DEFAULTS, name], capture_output=True, text=True, cwd=tmp_path,
        check=True,
    )  # fmt: skip
    theirs = {
        OUR_NAMES.get(key, key): value
        for key, value in json.loads(done.stdout.splitlines()[-1]).items()
    }
    told = defaults_of(name, "lora")
    worked_out = {"learning_rate"} if name == "swift" else {"lora_alpha", "gradient_checkpointing"}
    assert {key: theirs.get(key) for key in told if key not in worked_out} == {
        key: value for key, value in told.items() if key not in worked_out
    }
