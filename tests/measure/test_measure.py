"""Time by the worker's marks, memory from outside."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.measure.sampler import Sampler, memory_counter, sample_tree
from bakeoff.measure.summary import Attempt, steps_done, summarise
from bakeoff.schema.events import PhaseEvent, ResumeEvent, StepEvent

HOLD = "import sys, time; block = bytearray(200_000_000); print('held', flush=True); time.sleep(60)"


def _phase(at, phase):
    return PhaseEvent(at=at, phase=phase)


def _step(at, step, *, loss=1.0, seconds=2.0):
    return StepEvent(at=at, step=step, num_steps=3, loss=loss, seconds=seconds, num_tokens=100)


def test_a_process_that_holds_two_hundred_megabytes_is_seen_to_hold_them(tmp_path):
    timeline = tmp_path / "timeline.jsonl"
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    try:
        with Sampler(process.pid, timeline):
            process.stdout.readline()
            time.sleep(1.0)
    finally:
        process.kill()
        process.communicate()
    samples = [json.loads(line) for line in timeline.read_text().splitlines()]
    assert len(samples) >= 3
    assert 0.19e9 < max(sample["host_bytes"] for sample in samples) < 0.26e9
    assert {sample["counter"] for sample in samples} == {memory_counter()}


def test_a_family_is_counted_together():
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        sample = sample_tree(process.pid, memory_counter())
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()
    assert sample is not None
    assert sample["num_processes"] == 2
    assert sample["host_bytes"] > 0.19e9


def test_a_process_that_is_gone_gives_no_reading():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert sample_tree(process.pid, memory_counter()) is None


def test_the_sampler_costs_at_most_a_fiftieth_of_a_core(tmp_path):
    before = time.process_time()
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
    with Sampler(process.pid, tmp_path / "timeline.jsonl"):
        process.wait()
    assert (time.process_time() - before) / (time.monotonic() - started) < 0.02


def test_phases_last_until_the_next_begins_and_the_last_until_the_process_ends():
    events = [
        _phase(101.0, "import"), _phase(103.0, "load_model"), _phase(106.0, "validate"),
        _phase(107.0, "train"), _step(109.0, 1), _step(111.0, 2), _phase(111.0, "save"),
    ]  # fmt: skip
    timeline = [
        {"at": 102.0, "host_bytes": 10, "counter": "pss"},
        {"at": 106.5, "host_bytes": 30, "counter": "pss"},
        {"at": 110.0, "host_bytes": 90, "counter": "pss"},
    ]
    measured = summarise(events, timeline, [Attempt(started_at=100.0, ended_at=112.0)])
    assert measured.wall_seconds == 12.0
    assert measured.setup_seconds == 6.0  # 100-101 start, 101-103 import, 103-106 load
    assert (measured.validate_seconds, measured.save_seconds) == (1.0, 1.0)
    assert (measured.train_seconds, measured.num_steps) == (4.0, 2)
    assert (measured.num_tokens, measured.tokens_per_second) == (200, 50.0)
    assert (measured.peak_host_bytes, measured.start_host_bytes) == (90, 10)
    assert measured.sampling_interval_seconds == 4.0
    assert measured.evaluate_seconds is None


def test_steps_done_twice_around_a_kill_count_once_but_the_wall_time_counts_both():
    events = [
        _phase(1.0, "train"), _step(3.0, 1), _step(5.0, 2, loss=9.0),
        _phase(101.0, "train"), ResumeEvent(at=101.0, step=1), _step(103.0, 2), _step(105.0, 3),
    ]  # fmt: skip
    attempts = [Attempt(started_at=0.0, ended_at=6.0), Attempt(started_at=100.0, ended_at=105.0)]
    measured = summarise(events, [], attempts)
    assert [(step.step, step.loss) for step in steps_done(events)] == [(1, 1.0), (2, 1.0), (3, 1.0)]
    assert (measured.train_seconds, measured.wall_seconds, measured.num_attempts) == (6.0, 11.0, 2)


def test_an_evaluation_that_began_anew_is_measured_by_its_last_attempt():
    events = [_phase(1.0, "evaluate"), _phase(101.0, "load_model"), _phase(103.0, "evaluate")]
    attempts = [Attempt(started_at=0.0, ended_at=90.0), Attempt(started_at=100.0, ended_at=113.0)]
    measured = summarise(events, [], attempts, num_generated_tokens=1000)
    assert (measured.evaluate_seconds, measured.tokens_per_second) == (10.0, 100.0)
    assert measured.wall_seconds == 103.0


def test_memory_before_the_work_is_that_before_the_first_validation():
    events = [_phase(1.0, "validate"), _phase(5.0, "train")]
    timeline = [
        {"at": 0.5, "host_bytes": 100, "counter": "pss"},
        {"at": 4.0, "host_bytes": 900, "counter": "pss"},
    ]
    measured = summarise(events, timeline, [Attempt(started_at=0.0, ended_at=9.0)])
    assert (measured.start_host_bytes, measured.peak_host_bytes) == (100, 900)


def test_a_line_torn_by_a_kill_goes_before_more_are_written(tmp_path):
    timeline = tmp_path / "timeline.jsonl"
    timeline.write_text('{"at": 1.0}\n{"at": 2.')
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    with Sampler(process.pid, timeline):
        process.wait()
    lines = [json.loads(line) for line in timeline.read_text().splitlines()]
    assert lines[0] == {"at": 1.0}
    assert lines[1]["host_bytes"] > 0


def test_what_was_not_measured_is_none():
    measured = summarise([], [], [Attempt(started_at=0.0, ended_at=1.0)])
    unknown = measured.model_dump(exclude={"wall_seconds", "num_attempts", "setup_seconds"})
    assert not any(unknown.values())
    assert 0 not in [value for value in unknown.values() if isinstance(value, int | float)]


def test_noise_tells_the_share_of_the_machine_that_was_busy():
    before = mark_noise()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        pass
    noise = noise_between(before, mark_noise())
    assert 0 < noise["busy_share"] <= 1
    assert noise["load_average_1m_at_start"] == pytest.approx(before.load_average_1m)
