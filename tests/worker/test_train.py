"""Whole trainings of a tiny model: what they learn, say and leave."""

import errno
import json
import os
import shutil
from pathlib import Path

import peft
import pytest
import torch
import transformers
from tests.worker.custom_code import keep_code_copies_in, make_custom_code_model
from tests.worker.training import job, losses, read_events, write_data

from bakeoff.schema.events import read_events_file
from bakeoff.schema.results import RunEnvironment, TrainResult
from bakeoff.worker import train
from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("数据 data"))


def run(folder, raw):
    folder.mkdir(parents=True, exist_ok=True)
    train.main(raw, folder)
    return TrainResult.model_validate_json((folder / "result.json").read_text(encoding="utf-8"))


class Killed(BaseException):
    """Stands in for a kill: nothing in the worker catches it."""


def run_killed_at(folder, raw, monkeypatch, *, method, call):
    """Start a training that dies at the ``call``-th call of a method of Events."""
    folder.mkdir(parents=True, exist_ok=True)
    original, calls = getattr(Events, method), []

    def die(self, *arguments, **keywords):
        calls.append(None)
        if len(calls) == call:
            raise Killed
        original(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Events, method, die)
        with pytest.raises(Killed):
            train.main(raw, folder)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_training_learns_and_leaves_a_result(method, tiny_model, data, tmp_path):
    raw = job(tiny_model, data, method=method, num_epochs=10, lora_dropout=0.0)
    result = run(tmp_path, raw)
    steps = losses(tmp_path)
    assert list(steps) == list(range(1, 31))
    assert steps[30][0] < steps[1][0] - 0.1
    first, last = read_events(tmp_path, "validation")
    assert (first["step"], last["step"]) == (0, 30)
    assert last["loss"] < first["loss"] - 0.1
    assert result.num_examples == 12
    assert result.effective["num_steps"] == 30
    assert result.effective["num_warmup_steps"] == 1
    assert (result.num_trained_parameters == result.num_total_parameters) == (method == "full")
    assert list(read_events_file(tmp_path / "events.jsonl"))
    assert [event["phase"] for event in read_events(tmp_path, "phase")] == [
        "load_data", "load_model", "validate", "train", "validate", "save",
    ]  # fmt: skip


def test_the_adapter_opens_with_peft_and_gives_the_trained_loss(tiny_model, data, tmp_path):
    run(tmp_path, job(tiny_model, data, num_epochs=2))
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "artefact")
    expected = read_events(tmp_path, "validation")[-1]["loss"]
    assert validation_loss(model, tmp_path / "artefact", data) == pytest.approx(expected, rel=1e-5)


def test_the_full_model_opens_with_transformers_and_gives_the_trained_loss(
    tiny_model, data, tmp_path
):
    run(tmp_path, job(tiny_model, data, method="full", num_epochs=2))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "artefact")
    assert model.config._attn_implementation == "sdpa"
    expected = read_events(tmp_path, "validation")[-1]["loss"]
    assert validation_loss(model, tmp_path / "artefact", data) == pytest.approx(expected, rel=1e-5)


def validation_loss(model, tokenizer_dir, data):
    """One row at a time, by transformers itself."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_dir)
    total, number = 0.0, 0
    for line in (data / "validation.jsonl").read_text(encoding="utf-8").splitlines():
        prompt, response = (
            tokenizer(segment["text"])["input_ids"] for segment in json.loads(line)["segments"]
        )
        response = [*response, tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + response])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([prompt + response]), labels=labels).loss
        total, number = total + float(loss) * len(response), number + len(response)
    return total / number


@pytest.mark.parametrize("method", ["lora", "full"])
def test_accumulated_passes_equal_one_large_pass(method, tiny_model, data, tmp_path):
    together = job(tiny_model, data, method=method, batch_size=6)
    apart = job(tiny_model, data, method=method, batch_size=2, gradient_accumulation=3)
    run(tmp_path / "together", together)
    run(tmp_path / "apart", apart)
    for one, three in zip(
        losses(tmp_path / "together").values(), losses(tmp_path / "apart").values(), strict=True
    ):
        assert one == pytest.approx(three, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "optimizer"), [("lora", "adamw"), ("full", "adamw"), ("full", "adamw-8bit")]
)
def test_a_killed_training_goes_on_from_its_last_checkpoint_as_if_never_killed(
    method, optimizer, tiny_model, data, tmp_path, monkeypatch
):
    raw = job(
        tiny_model, data, method=method, num_epochs=3, save_every=2, validate_every=3,
        lora_dropout=0.3, optimizer=optimizer,
    )  # fmt: skip
    whole = run(tmp_path / "whole", raw)
    killed = tmp_path / "killed"
    run_killed_at(killed, raw, monkeypatch, method="step", call=4)
    run_killed_at(killed, raw, monkeypatch, method="step", call=4)
    resumed = run(killed, raw)
    assert [event["step"] for event in read_events(killed, "resume")] == [2, 4]
    assert losses(killed) == losses(tmp_path / "whole")
    assert resumed == whole
    weights = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    assert (killed / "artefact" / weights).read_bytes() == (
        tmp_path / "whole" / "artefact" / weights
    ).read_bytes()
    validations = {event["step"]: event["loss"] for event in read_events(killed, "validation")}
    assert validations == {
        event["step"]: event["loss"] for event in read_events(tmp_path / "whole", "validation")
    }


def test_a_kill_while_saving_leaves_the_checkpoint_before(tiny_model, data, tmp_path, monkeypatch):
    from bakeoff.worker import checkpoint

    raw = job(tiny_model, data, num_epochs=3, save_every=2)
    original, calls = checkpoint.write_json_atomic, []

    def die_at_second(path, value):
        calls.append(path)
        if len(calls) == 2:
            raise Killed
        original(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_json_atomic", die_at_second)
        with pytest.raises(Killed):
            train.main(raw, tmp_path)
    run(tmp_path, raw)
    assert [event["step"] for event in read_events(tmp_path, "resume")] == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "artefact", "environment.json", "events.jsonl", "result.json",
    ]  # fmt: skip


def test_only_the_newest_checkpoint_is_kept(tiny_model, data, tmp_path, monkeypatch):
    raw = job(tiny_model, data, num_epochs=3, save_every=2)
    run_killed_at(tmp_path, raw, monkeypatch, method="step", call=8)
    assert [path.name for path in tmp_path.glob("*checkpoint*")] == ["checkpoint-00000006"]


def test_a_checkpoint_of_another_job_is_not_used(tiny_model, data, tmp_path, monkeypatch):
    raw = job(tiny_model, data, num_epochs=3, save_every=2)
    run_killed_at(tmp_path, raw, monkeypatch, method="step", call=4)
    run(tmp_path, job(tiny_model, data, num_epochs=3, save_every=2, seed=1))
    assert [event["step"] for event in read_events(tmp_path, "resume")] == [0]


def _cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.safetensors", _cut_in_half),
        ("weights.safetensors", lambda path: path.write_bytes(bytes(path.stat().st_size))),
        ("weights.safetensors", lambda path: path.unlink()),
        ("optimizer.pt", _cut_in_half),
        ("optimizer.pt", lambda path: path.write_bytes(bytes(path.stat().st_size))),
        ("random.pt", lambda path: path.write_bytes(b"")),
        ("state.json", lambda path: path.write_bytes(b"")),
    ],
)
def test_a_training_whose_checkpoint_is_damaged_begins_anew_and_says_so(
    name, damage, tiny_model, data, tmp_path, monkeypatch
):
    raw = job(tiny_model, data, num_epochs=1, save_every=1, lora_dropout=0.3)
    run(tmp_path / "whole", raw)
    killed = tmp_path / "killed"
    run_killed_at(killed, raw, monkeypatch, method="step", call=3)
    damage(killed / "checkpoint-00000002" / name)
    run(killed, raw)
    (text,) = [event["text"] for event in read_events(killed, "warning")]
    assert text.startswith("The checkpoint checkpoint-00000002 cannot be read and is left out (")
    assert [event["step"] for event in read_events(killed, "resume")] == [0]
    assert losses(killed) == losses(tmp_path / "whole")


def test_an_older_checkpoint_serves_when_the_newest_is_damaged(
    tiny_model, data, tmp_path, monkeypatch
):
    raw = job(tiny_model, data, num_epochs=2, save_every=2)
    run_killed_at(tmp_path, raw, monkeypatch, method="step", call=4)
    newest = tmp_path / "checkpoint-00000004"
    shutil.copytree(tmp_path / "checkpoint-00000002", newest)
    _cut_in_half(newest / "weights.safetensors")
    run(tmp_path, raw)
    assert [event["step"] for event in read_events(tmp_path, "resume")] == [2]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: not enough memory"),
        PermissionError(errno.EACCES, "Permission denied"),
    ],
)
def test_a_trouble_that_may_pass_does_not_cost_the_checkpoint(
    error, tiny_model, data, tmp_path, monkeypatch
):
    raw = job(tiny_model, data, num_epochs=1, save_every=1)
    run_killed_at(tmp_path, raw, monkeypatch, method="step", call=3)

    def fail(*arguments, **keywords):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", fail)
        with pytest.raises(type(error)):
            train.main(raw, tmp_path)
    assert (tmp_path / "checkpoint-00000002").exists()


def test_a_checkpoint_is_on_disk_before_it_has_its_name(tiny_model, data, tmp_path, monkeypatch):
    forced, unforced = set(), []
    fsync, rename = os.fsync, Path.rename

    def note_file(descriptor):
        forced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_rename(path, target):
        if path.name == ".checkpoint.new":
            files = list(path.iterdir())
            unforced.append([file.name for file in files if file.stat().st_ino not in forced])
            assert len(files) == 4
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_file)
    monkeypatch.setattr(Path, "rename", note_rename)
    run(tmp_path, job(tiny_model, data, num_epochs=1, save_every=2))
    assert unforced == [[]]


def test_steps_of_an_attempt_without_a_checkpoint_are_dropped(
    tiny_model, data, tmp_path, monkeypatch
):
    raw = job(tiny_model, data, num_epochs=2)
    run_killed_at(tmp_path, raw, monkeypatch, method="step", call=4)
    run(tmp_path, raw)
    assert [event["step"] for event in read_events(tmp_path, "resume")] == [0]


def test_a_first_attempt_does_not_resume(tiny_model, data, tmp_path):
    run(tmp_path, job(tiny_model, data, max_steps=1))
    assert read_events(tmp_path, "resume") == []


def test_a_training_that_fails_leaves_packages_and_hardware(tiny_model, data, tmp_path):
    with pytest.raises(JobError):
        run(tmp_path, job(tiny_model, data, max_length=3))
    environment = RunEnvironment.model_validate_json(
        (tmp_path / "environment.json").read_text(encoding="utf-8")
    )
    assert environment.packages["torch"] == torch.__version__
    assert environment.hardware["num_cpu_cores"] >= 1


@pytest.mark.parametrize("method", ["lora", "full"])
def test_code_that_came_with_the_model_runs_only_if_it_is_trusted(
    method, tiny_model, data, tmp_path, monkeypatch
):
    keep_code_copies_in(tmp_path / "copies", monkeypatch)
    custom = make_custom_code_model(tiny_model, tmp_path / "模型 custom")
    raw = job(custom, data, method=method, max_steps=1, trust_remote_code=True)
    run(tmp_path / "trusted", raw)
    run(tmp_path / "plain", job(tiny_model, data, method=method, max_steps=1))
    assert losses(tmp_path / "trusted") == losses(tmp_path / "plain")
    with pytest.raises(ValueError, match="trust_remote_code"):
        run(tmp_path / "untrusted", raw | {"trust_remote_code": False})


def test_a_finished_training_is_left_as_it_is(tiny_model, data, tmp_path):
    raw = job(tiny_model, data)
    first = run(tmp_path, raw)
    events = (tmp_path / "events.jsonl").read_bytes()
    assert run(tmp_path, raw) == first
    assert (tmp_path / "events.jsonl").read_bytes() == events


def test_the_seed_decides_order_and_adapter(tiny_model, data, tmp_path):
    results = [
        run(tmp_path / name, job(tiny_model, data, seed=seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")
    assert results[0].batch_digest == results[1].batch_digest != results[2].batch_digest


def test_a_padded_training_gives_the_losses_of_a_packed_one(
    tiny_model, data, tmp_path, monkeypatch
):
    from bakeoff.worker import modelling

    raw = job(tiny_model, data, num_epochs=2, batch_size=2, gradient_accumulation=2)
    run(tmp_path / "packed", raw)
    monkeypatch.setattr(modelling, "_packing_problem", lambda model, rows: "told so")
    result = run(tmp_path / "padded", raw)
    assert result.effective["attention"] == "sdpa, padded rows (told so)"
    for packed, padded in zip(
        losses(tmp_path / "packed").values(), losses(tmp_path / "padded").values(), strict=True
    ):
        assert packed == pytest.approx(padded, rel=1e-3)


def test_bf16_trains_weights_in_bf16_and_adapters_in_fp32(tiny_model, data, tmp_path):
    lora = run(tmp_path / "lora", job(tiny_model, data, precision="bf16", max_steps=2))
    full = run(
        tmp_path / "full", job(tiny_model, data, method="full", precision="bf16", max_steps=2)
    )
    types = [
        (result.effective["weight_dtype"], result.effective["trained_dtype"])
        for result in (lora, full)
    ]
    assert types == [("bfloat16", "float32"), ("bfloat16", "bfloat16")]


def test_dropped_rows_are_counted_and_said(tiny_model, data, tmp_path):
    longest = run(tmp_path / "all", job(tiny_model, data, max_steps=1))
    assert longest.num_dropped == 0
    mean = longest.num_train_tokens // longest.num_examples
    result = run(tmp_path / "short", job(tiny_model, data, max_steps=1, max_length=mean))
    assert result.num_dropped > 0
    assert result.num_examples + result.num_dropped == 12
    texts = [event["text"] for event in read_events(tmp_path / "short", "warning")]
    assert any(
        text.startswith(f"{result.num_dropped} training rows are left out") for text in texts
    )


def test_nothing_left_to_train_on_is_said(tiny_model, data, tmp_path):
    with pytest.raises(JobError, match=r"There is no row to train on: 12 .* all of them longer"):
        run(tmp_path / "long", job(tiny_model, data, max_length=3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "train.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(JobError, match="There is no row to train on in"):
        run(tmp_path / "none", job(tiny_model, tmp_path / "empty"))


def test_a_training_that_diverges_is_stopped(tiny_model, data, tmp_path):
    raw = job(tiny_model, data, method="full", max_steps=10)
    raw["train"]["learning_rate"] = 1e30
    with pytest.raises(JobError, match=r"The training diverged: at step \d+"):
        run(tmp_path, raw)


def test_a_run_without_validation_rows_has_no_validation(tiny_model, tmp_path):
    data = write_data(tmp_path / "data", num_validation=0)
    run(tmp_path / "run", job(tiny_model, data, max_steps=1))
    assert read_events(tmp_path / "run", "validation") == []
