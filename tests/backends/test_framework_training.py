"""The real frameworks in their own environments, beside the built-in trainer."""

import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.backends.environments import interpreter, needs_environment
from tests.backends.launching import launch, start, wait_for_step
from tests.backends.plans import make_plan
from tests.backends.test_framework_translation import changes, plan_with
from tests.worker.training import read_events, write_data

from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.known_settings import known_settings
from bakeoff.interfaces import Inputs
from bakeoff.schema.recipe_train import FreezeSpec, LoraSpec, TrainSpec

FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.backend(name))
    for name in BACKENDS.names()
    if needs_environment(name)
]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", FRAMEWORKS)]

ACCEPTS = Path(__file__).parent / "accepts.py"
SETTINGS_OF = Path(__file__).parent / "settings_of.py"


def train_spec(**values) -> TrainSpec:
    return TrainSpec(**{"precision": "fp32", "batch_size": 4, "learning_rate": 1e-2, **values})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "数据 data", num_train=14)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model, data):
    """Trains once for each plan and backend; gives the run directory."""
    done: dict[tuple, Path] = {}

    def train(name, plan, *, data=data) -> Path:
        key = (name, plan.model_dump_json(), data)
        if key not in done:
            run_dir = tmp_path_factory.mktemp(name) / "运行 run"
            ended = launch(name, plan, run_dir, model=tiny_model, data=data)
            assert ended.returncode == 0, ended.stderr
            done[key] = run_dir
        return done[key]

    return train


def result_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "result.json").read_text(encoding="utf-8"))


def steps_of(run_dir: Path) -> dict[int, dict]:
    """Of a step done twice, the last."""
    return {event["step"]: event for event in read_events(run_dir, "step")}


CASES = {
    "lora": {},
    "full": {"method": "full", "lora": None},
    "8 bits": {"method": "full", "lora": None, "train": train_spec(optimizer="adamw-8bit")},
    "freeze": {"method": "freeze", "lora": None, "freeze": FreezeSpec(trainable_layers=1)},
    "variants": {"lora": LoraSpec(rank=4, use_rslora=True, use_dora=True, lora_plus_ratio=4.0)},
    "settings": {
        "train": train_spec(
            batch_size=2,
            gradient_accumulation=2,
            num_epochs=2.5,
            scheduler="constant",
            warmup_ratio=0.5,
            weight_decay=0.1,
            adam_beta1=0.8,
            adam_beta2=0.95,
            adam_epsilon=1e-6,
            max_grad_norm=0.5,
            gradient_checkpointing=True,
            validate_every=2,
        )
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_framework_does_what_the_built_in_trainer_does(case, name, trained):
    plan = make_plan(**{"train": train_spec(), **CASES[case]})
    ours, theirs = trained("builtin", plan), trained(name, plan)
    expected, found = result_of(ours), result_of(theirs)
    for key in ("batch_digest", "num_label_tokens", "num_trained_parameters"):
        assert found[key] == expected[key], key
    for key in (
        "num_steps",
        "num_warmup_steps",
        "weight_dtype",
        "trained_dtype",
        "optimizer_dtype",
    ):
        assert found["effective"][key] == expected["effective"][key], key
    assert steps_of(theirs).keys() == steps_of(ours).keys()
    for step, event in steps_of(ours).items():
        other = steps_of(theirs)[step]
        for key in ("learning_rate", "loss", "grad_norm", "num_tokens", "num_label_tokens"):
            assert other[key] == pytest.approx(event[key], rel=1e-4), (step, key)
    validations = [
        [(event["step"], event["loss"]) for event in read_events(run, "validation")]
        for run in (ours, theirs)
    ]
    assert [step for step, _ in validations[1]] == [step for step, _ in validations[0]]
    for (_, loss), (_, other) in zip(*validations, strict=True):
        assert other == pytest.approx(loss, rel=1e-4)
    assert read_events(theirs, "warning") == []


def test_what_a_framework_does_before_its_first_step_is_told_apart(name, trained):
    plan = make_plan(**{"train": train_spec(), **CASES["lora"]})
    run = trained(name, plan)
    phases = read_events(run, "phase")
    order = list(dict.fromkeys(event["phase"] for event in phases))
    assert order == [
        "import", "load_data", "prepare", "load_model", "validate", "train", "save",
    ]  # fmt: skip
    # Where a mark ends the phase around it goes on: no two marks in a row are equal.
    setup = [event["phase"] for event in phases][: [e["phase"] for e in phases].index("validate")]
    assert all(one != other for one, other in itertools.pairwise(setup))
    first = {event["phase"]: event for event in reversed(phases)}
    assert 0 < first["load_model"]["host_bytes"] <= first["validate"]["host_bytes"]
    peaks = json.loads((run / "memory-rank0.json").read_text(encoding="utf-8"))
    assert peaks["rank"] == 0
    assert min(peaks["host_bytes"], peaks["load_host_bytes"]) > first["load_model"]["host_bytes"]
    ours = result_of(trained("builtin", plan))
    for key in ("flops_per_token", "flops_per_label_token", "flops_per_token_pair"):
        assert result_of(run)[key] == ours[key] > 0
    assert result_of(run)["num_token_pairs"] == ours["num_token_pairs"]


DTYPES = {
    ("lora", "bf16"): ("bfloat16", "float32", None),
    ("full", "bf16"): ("bfloat16", "bfloat16", None),
    ("full", "bf16-mixed"): ("float32", "float32", "bfloat16"),
}
"""Of the weights, of what is trained, and what is computed in instead."""


@pytest.mark.parametrize(("method", "precision"), DTYPES)
def test_a_precision_is_the_same_everywhere(method, precision, name, trained):
    lora = LoraSpec(rank=4) if method == "lora" else None
    spec = train_spec(precision=precision)
    plan = make_plan(method=method, lora=lora, train=spec, device="auto")  # with and without a GPU
    for backend in ("builtin", name):
        effective = result_of(trained(backend, plan))["effective"]
        found = tuple(effective[key] for key in ("weight_dtype", "trained_dtype", "autocast"))
        assert found == DTYPES[method, precision]
        assert effective["optimizer_dtype"] == effective["trained_dtype"]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"method": "full", "lora": None},
        {"lora": LoraSpec(rank=4, init="pissa")},
        CASES["variants"],
    ],
    ids=["lora", "full", "pissa", "variants"],
)
def test_what_is_handed_back_is_the_model_as_it_was_in_the_end(
    values, name, trained, tiny_model, data
):
    import peft
    import torch
    import transformers

    from bakeoff.worker.framework_validation import validate
    from bakeoff.worker.rows import read_rows
    from bakeoff.worker.tokenizing import tokenize

    run_dir = trained(name, make_plan(**{"train": train_spec(), **values}))
    artefact = run_dir / "artefact"
    if (artefact / "adapter_config.json").exists():
        base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        model = peft.PeftModel.from_pretrained(base, artefact)
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(artefact)
    tokenizer = transformers.AutoTokenizer.from_pretrained(artefact)
    raw = read_rows(data / "validation.jsonl")
    rows = tokenize(raw, tokenizer, max_length=1024, overlong="drop", loss_on="response").rows
    last: dict[str, float] = {}

    class Note:
        def __getattr__(self, _):
            return lambda *_, **values: last.update(values)

    validate(model, rows, batch_size=4, pad_token=0, step=0, events=Note())
    assert last["loss"] == pytest.approx(read_events(run_dir, "validation")[-1]["loss"], rel=1e-5)
    assert {path.name for path in run_dir.iterdir()}.isdisjoint({"trainer", "model", "train.jsonl"})


MANY_TURNS = [
    [("Q: 1+1?", False), (" 2", True), ("\n\nQ: 2+2?", False), (" 4", True)],
    [("Q: a?", False), (" not learned.\n\nQ: b?", False), (" learned", True)],
    [("plain text, 全部", True)],
    [("Q: x", False), (" a", True), ("\n\nread in the end", False)],
    [('<image> "quoted" {{QUERY}} {{SYSTEM}}\n', False), (" \\n <video> \t tab ", True)],
    [(" leading", False), ("  two spaces \n\n", True)],
]


@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_rows_of_every_shape_become_the_tokens_and_labels_of_the_built_in_trainer(
    loss_on, name, trained, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("turns")
    lines = [
        {"id": f"row-{i}", "segments": [{"text": text, "loss": loss} for text, loss in row]}
        for i, row in enumerate(MANY_TURNS)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    plan = make_plan(train=train_spec(loss_on=loss_on, batch_size=8))
    ours = trained("builtin", plan, data=folder)
    theirs = trained(name, plan, data=folder)
    assert result_of(theirs)["batch_digest"] == result_of(ours)["batch_digest"]
    assert steps_of(theirs)[1]["loss"] == pytest.approx(steps_of(ours)[1]["loss"], rel=1e-5)


def test_a_killed_training_goes_on_from_the_frameworks_checkpoint(
    name, trained, tiny_model, data, tmp_path
):
    plan = make_plan(
        train=train_spec(num_epochs=20, save_every=5), lora=LoraSpec(rank=4, dropout=0.1)
    )
    whole = trained(name, plan)
    run_dir = tmp_path / "run"
    process = start(name, plan, run_dir, model=tiny_model, data=data)
    wait_for_step(run_dir, 13, process)
    process.kill()
    process.communicate()
    ended = launch(name, plan, run_dir, model=tiny_model, data=data)
    assert ended.returncode == 0, ended.stderr
    (resumed,) = read_events(run_dir, "resume")
    assert resumed["step"] in (10, 15, 20)
    keys = ("loss", "grad_norm", "learning_rate", "num_tokens")
    assert {step: [event[key] for key in keys] for step, event in steps_of(run_dir).items()} == {
        step: [event[key] for key in keys] for step, event in steps_of(whole).items()
    }
    assert result_of(run_dir)["batch_digest"] == result_of(whole)["batch_digest"]
    weights = "artefact/adapter_model.safetensors"
    assert (run_dir / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_request_to_stop_ends_it_within_seconds(name, tiny_model, data, tmp_path):
    plan = make_plan(train=train_spec(num_epochs=2000))
    process = start(name, plan, tmp_path, model=tiny_model, data=data)
    wait_for_step(tmp_path, 2, process)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert process.returncode == 130
    (end,) = read_events(tmp_path, "end")
    assert (end["status"], end["error"]) == ("cancelled", "stopped on request")


def test_what_the_framework_does_not_know_fails_with_its_own_words(
    name, tiny_model, data, tmp_path
):
    plan = make_plan(train=train_spec(), extra={"no_such_key": 1})
    ended = launch(name, plan, tmp_path, model=tiny_model, data=data)
    assert ended.returncode == 1
    assert "no_such_key" in ended.stderr
    (end,) = read_events(tmp_path, "end")
    assert end["status"] == "failed"
    assert "no_such_key" in end["error"]


def test_a_setting_of_the_frameworks_own_reaches_it_and_is_recorded(name, trained):
    plan = make_plan(train=train_spec(), extra={"neftune_noise_alpha": 5})
    run_dir = trained(name, plan)
    assert result_of(run_dir)["effective"]["extra"] == {"neftune_noise_alpha": 5}
    arguments = json.loads((run_dir / f"{name}_arguments.json").read_text(encoding="utf-8"))
    assert arguments["neftune_noise_alpha"] == 5


def test_the_list_of_its_settings_is_that_of_its_own_parser(name, tmp_path):
    done = subprocess.run(
        [interpreter(name), SETTINGS_OF, name],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    # Log lines of the framework hold spaces, names of settings do not.
    printed = {line for line in done.stdout.splitlines() if line.isidentifier()}
    assert printed == known_settings(name)


def test_the_frameworks_own_parser_takes_every_file(name, tiny_model, tmp_path):
    backend = BACKENDS.get(name)()
    inputs = Inputs(python=interpreter(name), model_dir=tiny_model, data_dir=tmp_path)
    plans = {"default": {}, **changes()}
    for number, values in enumerate(plans.values()):
        made = backend.render(plan_with(**{**values, "device": "cpu"}), inputs, tmp_path)
        for path, text in made.files.items():
            is_config = path.suffix == ".yaml"
            named = f"{number}.yaml" if is_config else str(path)
            known = 'model_type: "llama"\n' if is_config and name == "swift" else ""
            (tmp_path / named).write_text(text + known, encoding="utf-8")
    done = subprocess.run(
        [
            inputs.python,
            ACCEPTS,
            name,
            tmp_path,
            *(f"{number}.yaml" for number in range(len(plans))),
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    errors = json.loads(done.stdout.splitlines()[-1])
    refused = {list(plans)[int(path[:-5])]: text for path, text in errors.items() if text}
    assert refused == {}


def test_a_person_can_run_the_files_by_hand(name, tiny_model, data, tmp_path):
    """`only_prepare` leaves a folder in which the framework's own command trains."""
    backend = BACKENDS.get(name)()
    plan = make_plan(train=train_spec())
    inputs = Inputs(python=interpreter(name), model_dir=tiny_model, data_dir=data)
    made = backend.render(plan, inputs, tmp_path)
    for path, text in made.files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    (tmp_path / "job.json").write_text(json.dumps({**job, "only_prepare": True}), encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run(made.argv, cwd=tmp_path, env={**env, **made.env}, check=True)
    program, *arguments = backend.command.split()
    done = subprocess.run(
        [inputs.python.parent / program, *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "trainer").glob("checkpoint-*"))
