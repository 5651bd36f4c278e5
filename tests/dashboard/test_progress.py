"""How far a study is, from the ends of its files; processes that outlive the page."""

import json
import sys
import time

from tests.dashboard.conftest import make_site
from tests.dashboard.planned import planned_study

from bakeoff.base.locks import is_locked, locked
from bakeoff.base.process import collect_detached, interrupt, is_running, start_detached, started_at
from bakeoff.dashboard.jobs import Jobs
from bakeoff.dashboard.progress import run_progress, study_progress
from bakeoff.runner.process_run import lock_of


def _leave(folder, events):
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "events.jsonl").write_text(text, encoding="utf-8")


def _steps(first, last, total):
    return [
        {"kind": "step", "at": 2.0 * i, "step": i, "num_steps": total, "loss": 1 / i}
        for i in range(first, last + 1)
    ]


def test_a_training_tells_its_step_its_loss_and_what_is_left(tmp_path):
    _leave(tmp_path / "r", [{"kind": "phase", "at": 0.0, "phase": "train"}, *_steps(1, 40, 100)])
    found = run_progress(tmp_path / "r")
    assert (found.phase, found.done, found.total) == ("training", 40, 100)
    assert found.loss == 1 / 40
    assert found.seconds_left == 120


def test_a_validation_does_not_hide_how_far_the_training_is(tmp_path):
    held_out = [
        {"kind": "phase", "at": 90.0, "phase": "validate"},
        {"kind": "progress", "at": 91.0, "done": 1, "total": 4, "unit": "batches"},
    ]
    start = {"kind": "phase", "at": 0.0, "phase": "train"}
    _leave(tmp_path / "r", [start, *_steps(1, 40, 100), *held_out])
    found = run_progress(tmp_path / "r")
    assert (found.phase, found.done, found.total) == ("validation loss", 40, 100)


def test_only_the_end_of_a_large_file_is_read(tmp_path):
    _leave(tmp_path / "r", _steps(1, 20_000, 50_000))
    found = run_progress(tmp_path / "r")
    assert (found.done, found.total, found.seconds_left) == (20_000, 50_000, 60_000)
    assert run_progress(tmp_path / "none").phase == "starting"


def test_a_study_that_a_command_runs_is_seen_running(tmp_path):
    study = planned_study(tmp_path / "runs", leave=2)
    site = make_site(study.runs_dir)
    left = site.store.lists.unfinished("standard")[0]
    _leave(study.runs_dir / left, _steps(1, 3, 9))
    assert study_progress(site, "standard").running is None
    folder = study.runs_dir / "studies" / "standard"
    with locked(lock_of(folder), print), locked(lock_of(study.runs_dir / left), print):
        found = study_progress(site, "standard")
        assert found.running == "elsewhere"
        assert [(run.run_id, run.done) for run in found.now] == [(left, 3)]
        assert found.num_left == 2
    assert study_progress(site, "standard").running is None
    assert not is_locked(lock_of(folder))


def test_a_detached_process_is_known_by_its_birth_and_can_be_interrupted(tmp_path):
    argv = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
    log = tmp_path / "log.txt"
    pid = start_detached(argv, env={}, cwd=tmp_path, log_path=log)
    created = started_at(pid)
    while "here" not in log.read_text(encoding="utf-8"):
        time.sleep(0.02)
    assert is_running(pid, created)
    assert not is_running(pid, created + 100)
    interrupt(pid)
    collect_detached()
    assert not is_running(pid, created)
    assert "KeyboardInterrupt" in log.read_text(encoding="utf-8")


def test_a_job_that_has_ended_is_not_running(tmp_path):
    study = planned_study(tmp_path / "runs", leave=1)
    site = make_site(study.runs_dir)
    jobs = Jobs(site)
    recipe = tmp_path / "missing.yaml"
    jobs.start("standard", recipe, (), force=False)
    while jobs.running("standard"):
        time.sleep(0.05)
    assert "no recipe at" in jobs.log_path("standard").read_text(encoding="utf-8")
    assert "no recipe at" in study_progress(site, "standard").log
    assert jobs.find("standard").argv[-3:] == ("--runs-dir", str(study.runs_dir), "--yes")
