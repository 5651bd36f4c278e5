"""Studies on a Ray cluster: how a plan is cut, what is sent back, and a worker that is lost."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.command import bakeoff
from tests.runner.clustered import counted_once, running_study, training_at_work, write_recipe

from bakeoff.runner.cluster import gpus_needed, machines_needed, parts_of
from bakeoff.runner.cluster_task import _packed, unpack
from bakeoff.runner.prepare import prepare_study


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data):
    return write_recipe(tmp_path, tiny_model, tiny_data, "ray")


def test_a_task_is_a_training_with_what_scores_it_and_brings_its_own_sources(recipe, tmp_path):
    plan = prepare_study(recipe, ["measure.repeats=2"], cache_dir=tmp_path).plan
    parts = [[step.kind for step in part.steps] for part in parts_of(plan)]
    assert sorted(parts, key=len) == [
        ["model", "data", "eval"],
        *[["model", "data", "train", "train", "eval"]] * 2,
    ]
    runs = [s.id for part in parts_of(plan) for s in part.steps if s.kind in ("train", "eval")]
    assert len(runs) == len(set(runs)) == len(plan.steps) - 2


def test_a_task_asks_for_as_many_gpus_as_its_training_has_devices(recipe, tmp_path):
    (_, training, *_) = parts_of(prepare_study(recipe, [], cache_dir=tmp_path).plan)
    assert gpus_needed(training) == 0  # device: cpu
    on_gpu = prepare_study(recipe, ["device=auto"], cache_dir=tmp_path).plan
    assert gpus_needed(parts_of(on_gpu)[1]) == 1


def test_each_of_several_machines_is_asked_for_its_own_gpus(recipe, tmp_path):
    sets = ["device=auto", "strategy=ddp", "world_size=8", "nodes=2", "execution=ray"]
    plan = prepare_study(recipe, sets, cache_dir=tmp_path).plan
    (_, training, *_) = parts_of(plan)
    assert (machines_needed(training), gpus_needed(training)) == (2, 4)


def test_a_run_that_was_sent_back_is_whole_and_brings_no_checkpoints(tmp_path):
    run = tmp_path / "there" / "train-x"
    for name in ("artefact/adapter.safetensors", "checkpoint-00000020/step.pt", "record.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name, encoding="utf-8")
    here = tmp_path / "here" / "train-x"
    unpack(_packed(run), here)
    found = {str(p.relative_to(here)) for p in here.rglob("*") if p.is_file()}
    assert found == {"artefact/adapter.safetensors", "record.json"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a real cluster of this machine alone, with room for two tasks."""
    folder = tmp_path_factory.mktemp("ray")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray = Path(sys.executable).with_name("ray")
    arguments = ["start", "--head", "--block", f"--port={port}", "--num-cpus=2",
                 "--include-dashboard=false", "--disable-usage-stats"]  # fmt: skip
    with (folder / "ray.log").open("wb") as log:
        head = subprocess.Popen([ray, *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 300
        while "Ray runtime started" not in (folder / "ray.log").read_text("utf-8"):
            assert time.monotonic() < deadline
            assert head.poll() is None, (folder / "ray.log").read_text("utf-8")
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        family = psutil.Process(head.pid).children(recursive=True)
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(60)
        finally:
            head.kill()
            for process in psutil.wait_procs(family, timeout=10)[1]:
                process.kill()


@pytest.mark.slow
def test_a_study_on_a_cluster_survives_the_loss_of_a_worker_and_counts_nothing_twice(
    tmp_path, recipe, cluster
):
    checked = bakeoff(tmp_path, "cluster", "check", "--address", cluster, "--json")
    (node,) = json.loads(checked.stdout)
    assert (node["cpus"], node["shares_runs"], node["problems"]) == (2.0, True, [])

    with running_study(tmp_path, recipe, "--set", f"ray.address={cluster}") as study:
        run_dir, worker = training_at_work(tmp_path, study)
        worker.kill()  # Ray's own process, in the middle of a training
        assert study.wait(400) == 0, (tmp_path / "err.txt").read_text("utf-8")

    counted_once(tmp_path, lost=run_dir.name)
    assert not list((tmp_path / "runs").glob(".cluster-*"))


@pytest.mark.slow
def test_a_search_on_a_cluster_watches_its_trials_there(tmp_path, recipe, cluster):
    sets = [
        f"ray.address={cluster}", "method=lora", "search.workers=2",
        "search.space={train.learning_rate: {low: 1e-6, high: 1e-2, log: true}}",
        "search.budget.runs=5", "search.confirm.top=0", "search.pruning=halving",
    ]  # fmt: skip
    flags = [part for text in sets for part in ("--set", text)]
    result = json.loads(bakeoff(tmp_path, "search", recipe, "--json", *flags).stdout)
    assert len(result["trials"]) == 5
    statuses = [trial["status"] for trial in result["trials"]]
    assert set(statuses) <= {"finished", "pruned"}
    assert all(trial["curve"] for trial in result["trials"])
    for trial in result["trials"]:
        if trial["status"] == "pruned":
            assert trial["steps_done"] < trial["num_steps"]


def on_two_machines(cluster):
    """What makes the recipe one training over two machines."""
    sets = [f"ray.address={cluster}", "method=full", "strategy=ddp", "world_size=2", "nodes=2"]
    return [part for text in [*sets, "train.batch_size=2"] for part in ("--set", text)]


@pytest.mark.slow
def test_two_machines_of_a_cluster_do_one_training_and_go_on_when_the_first_is_lost(
    tmp_path, recipe, cluster
):
    flags = on_two_machines(cluster)
    with running_study(tmp_path, recipe, *flags) as study:
        run_dir, worker = training_at_work(tmp_path, study)
        worker.kill()
        assert study.wait(400) == 0, (tmp_path / "err.txt").read_text("utf-8")
    records = json.loads(bakeoff(tmp_path, "results", "--study", "spread", "--json").stdout)
    (training,) = [record for record in records if record["kind"] == "train"]
    assert training["run_id"] == run_dir.name
    assert training["measurement"]["num_processes"] == 2
    assert training["measurement"]["num_attempts"] == 2
    assert {peak["rank"] for peak in training["measurement"]["peak_by_rank"]} == {0, 1}
    assert list(run_dir.glob("log-*-*.txt")), "the second machine has a log of its own"


@pytest.mark.slow
def test_when_the_second_machine_is_lost_the_run_says_so_and_the_next_start_goes_on(
    tmp_path, recipe, cluster
):
    flags = on_two_machines(cluster)
    with running_study(tmp_path, recipe, *flags) as study:
        run_dir, first = training_at_work(tmp_path, study)
        second = joined(first, run_dir)
        for process in [second, *second.children(recursive=True)]:
            process.kill()  # as a machine goes: all at once
        assert study.wait(400) == 1
    record = json.loads((run_dir / "record.json").read_text("utf-8"))
    assert record["status"] == "failed"
    said = (tmp_path / "err.txt").read_text("utf-8")
    assert "machine that took part was lost" in said
    assert "It ran process 1;" in said

    bakeoff(tmp_path, "run", recipe, *flags)
    records = json.loads(bakeoff(tmp_path, "results", "--study", "spread", "--json").stdout)
    (training,) = [record for record in records if record["kind"] == "train"]
    assert (training["status"], training["measurement"]["num_attempts"]) == ("finished", 2)
    steps = [point["step"] for point in training["losses"] if point["split"] == "train"]
    assert steps == list(range(1, training["measurement"]["num_steps"] + 1))


def joined(first, run_dir):
    """The process of the cluster that runs the other half of the training."""
    for process in psutil.process_iter(["cmdline"]):
        is_launcher = any(part.endswith("worker/processes.py") for part in process.info["cmdline"])
        if is_launcher and process.cwd() == str(run_dir) and process.parent() != first:
            return process.parent()
    raise AssertionError("nobody joined")
