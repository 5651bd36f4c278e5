"""Studies on a SLURM cluster: what a job asks for, and a job that is preempted."""

import json
import os
import signal
import sys

import pytest
from tests.command import bakeoff
from tests.runner import fake_slurm
from tests.runner.clustered import counted_once, running_study, training_at_work, write_recipe

from bakeoff.runner.on_slurm import SlurmCluster, _Task
from bakeoff.schema.recipe_machine import SlurmSpec

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SLURM is none of Windows")


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """SLURM's commands of this machine, before all others."""
    folder = fake_slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_data):
    return write_recipe(tmp_path, tiny_model, tiny_data, "slurm")


def test_a_job_asks_for_what_the_recipe_says(commands, tmp_path):
    import submitit

    spec = SlurmSpec(
        partition="gpu", account="me", hours_per_run=1.5, cpus_per_run=8, memory_gb_per_run=0.5,
        options={"qos": "high"}, setup=("module load cuda",),
    )  # fmt: skip
    cluster = SlurmCluster(submitit, spec, tmp_path)
    job = cluster._start("bakeoff study", 2, _Task(str, "done"))
    assert cluster.result_of(job) == "done"
    text = (commands / "1.job").read_text(encoding="utf-8")
    asked = {line.removeprefix("#SBATCH --") for line in text.splitlines() if "#SBATCH" in line}
    assert asked >= {
        "job-name='bakeoff study'", "partition=gpu", "account=me", "time=90", "cpus-per-task=8",
        "gpus-per-node=2", "mem=500M", "qos=high", "requeue", "signal=USR2@90",
    }  # fmt: skip
    assert text.index("module load cuda") < text.index("srun")


def test_without_slurm_here_it_is_said(tmp_path, recipe, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bakeoff(tmp_path, "cluster", "check", recipe, expect=2)
    assert "there is no SLURM here: `srun` was not found" in done.stderr


def test_a_mistake_found_in_a_job_is_the_persons_as_anywhere(commands, tmp_path, recipe):
    done = bakeoff(
        tmp_path, "run", recipe, "--set", "data.num_validation=10", "--set", "data.test=none.jsonl",
        expect=2,
    )  # fmt: skip
    assert "none.jsonl" in done.stderr


@pytest.mark.slow
def test_a_job_that_is_preempted_is_queued_again_and_counts_nothing_twice(
    commands, tmp_path, recipe
):
    checked = bakeoff(tmp_path, "cluster", "check", recipe, "--json")
    (node,) = json.loads(checked.stdout)
    assert (node["shares_runs"], node["problems"]) == (True, [])

    with running_study(tmp_path, recipe) as study:
        run_dir, worker = training_at_work(tmp_path, study)
        worker.send_signal(signal.SIGUSR2)  # as SLURM does before it takes a machine away
        assert study.wait(400) == 0, (tmp_path / "err.txt").read_text("utf-8")
    counted_once(tmp_path, lost=run_dir.name)
