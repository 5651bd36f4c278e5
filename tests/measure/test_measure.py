"""Time by the worker's marks, memory from outside."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from bakeoff.measure.host import memory_counter, read_tree
from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.measure.phases import Attempt
from bakeoff.measure.sampler import Sampler
from bakeoff.measure.steps import steps_done
from bakeoff.measure.summary import summarise
from bakeoff.schema.events import PhaseEvent, ResumeEvent, StepEvent

HOLD = "import sys, time; block = bytearray(200_000_000); print('held', flush=True); time.sleep(60)"


def _phase(at, phase, host_bytes=None):
    return PhaseEvent(at=at, phase=phase, host_bytes=host_bytes)


def _step(at, step, *, loss=1.0, seconds=2.0, num_steps=3):
    return StepEvent(
        at=at, step=step, num_steps=num_steps, loss=loss, seconds=seconds, num_tokens=100
    )


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
    assert len(samples) >= 2
    assert 0.19e9 < max(sample["host_bytes"] for sample in samples) < 0.26e9
    assert {sample["counter"] for sample in samples} == {memory_counter()}


def test_a_family_is_counted_together():
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        reading = read_tree(process.pid, memory_counter())
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()
    assert reading is not None
    assert len(reading.cpu_seconds) == 2
    assert reading.host_bytes > 0.19e9


def test_a_process_that_is_gone_gives_no_reading():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert read_tree(process.pid, memory_counter()) is None


def test_the_sampler_says_what_it_costs_which_is_less_than_a_hundredth_of_a_core(tmp_path):
    before = time.process_time()
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
    with Sampler(process.pid, tmp_path / "timeline.jsonl", interval_seconds=0.02) as sampler:
        assert sampler.cpu_share is None
        process.wait()
    seen = (time.process_time() - before) / (time.monotonic() - started)
    assert 0 < sampler.cpu_share < 0.01
    assert sampler.cpu_share <= seen < 0.02


def test_a_peak_between_two_samples_is_kept_by_the_kernel_and_told_apart(tmp_path):
    if memory_counter() != "pss":
        pytest.skip("only Linux keeps a mark that other processes can read")
    code = "input(); block = bytearray(400_000_000); del block; input()"
    timeline = tmp_path / "timeline.jsonl"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)

    def wait_for_samples(number):
        while not timeline.exists() or timeline.read_bytes().count(b"\n") < number:
            time.sleep(0.01)

    try:
        # Long enough for the block to come and go between two samples on a busy machine too.
        with Sampler(process.pid, timeline, interval_seconds=4):
            wait_for_samples(1)
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait_for_samples(2)
    finally:
        process.kill()
        process.communicate()
    samples = [json.loads(line) for line in timeline.read_text().splitlines()]
    measured = summarise([], samples, [Attempt(started_at=0.0, ended_at=time.time())])
    assert measured.peak_host_bytes < 0.1e9
    assert 0.4e9 < measured.high_water_host_bytes < 0.5e9


def test_phases_last_until_the_next_begins_and_the_last_until_the_process_ends():
    events = [
        _phase(101.0, "import"), _phase(103.0, "load_model"), _phase(106.0, "validate"),
        _phase(107.0, "train"), _step(109.0, 1), _step(111.0, 2), _phase(111.0, "save"),
    ]  # fmt: skip
    timeline = [
        {"at": 102.0, "host_bytes": 10, "counter": "pss"},
        {"at": 105.0, "host_bytes": 20, "counter": "pss"},
        {"at": 106.5, "host_bytes": 30, "counter": "pss"},
        {"at": 110.0, "host_bytes": 90, "counter": "pss"},
    ]
    measured = summarise(events, timeline, [Attempt(started_at=100.0, ended_at=112.0)])
    assert measured.wall_seconds == 12.0
    assert measured.setup_seconds == 6.0  # 100-101 start, 101-103 import, 103-106 load
    assert (measured.validate_seconds, measured.save_seconds) == (1.0, 1.0)
    assert (measured.train_seconds, measured.num_steps) == (4.0, 2)
    assert (measured.num_tokens, measured.tokens_per_second) == (200, 50.0)
    assert measured.peak_host_bytes == 90
    assert (measured.start_host_bytes, measured.loaded_host_bytes) == (10, 20)
    assert measured.sampling_interval_seconds == 3.0
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


def test_memory_at_the_start_and_after_loading_is_what_the_worker_read_at_that_moment():
    events = [
        _phase(1.0, "load_data"), _phase(2.0, "load_model", host_bytes=150),
        _phase(3.0, "validate", host_bytes=400), _phase(5.0, "train", host_bytes=700),
    ]  # fmt: skip
    timeline = [{"at": 0.5, "host_bytes": 100, "counter": "pss"}]
    measured = summarise(events, timeline, [Attempt(started_at=0.0, ended_at=9.0)])
    assert (measured.start_host_bytes, measured.loaded_host_bytes) == (150, 400)


def test_a_phase_that_came_back_is_told_once_with_its_seconds_and_its_peak():
    events = [
        _phase(1.0, "prepare"), _phase(2.0, "load_model"), _phase(4.0, "load_data"),
        _phase(5.0, "load_model"), _phase(6.0, "prepare"), _phase(7.0, "train"),
        *(_step(9.0 + 2 * i, 1 + i, num_steps=12) for i in range(12)), _phase(31.5, "calibrate"),
    ]  # fmt: skip
    timeline = [
        {"at": at, "host_bytes": size, "counter": "pss"}
        for at, size in [(3.0, 5), (5.5, 9), (8.0, 20), (12.0, 30), (20.0, 25), (32.0, 99)]
    ]
    measured = summarise(events, timeline, [Attempt(started_at=0.0, ended_at=33.0)])
    assert [(c.phase, c.seconds, c.peak_host_bytes) for c in measured.phases] == [
        ("start", 1.0, None), ("prepare", 2.0, None), ("load_model", 3.0, 9),
        ("load_data", 1.0, None), ("first_step", 2.0, 20), ("warm_up_steps", 2.0, None),
        ("steady_steps", 20.0, 30),
    ]  # fmt: skip
    assert (measured.wall_seconds, measured.peak_host_bytes) == (31.5, 30)


@pytest.mark.parametrize(("planned", "steady"), [(1, None), (3, 2), (25, 22), (5000, 4990)])
def test_steps_that_warm_up_are_in_no_rate(planned, steady):
    # Those that warm up take ten seconds, the others one: a rate of 100 tokens a second.
    num_warm_up = planned - (steady or 0)
    events = [
        StepEvent(
            at=float(i), step=i, num_steps=planned, loss=1.0, num_tokens=100, num_label_tokens=40,
            num_rows=4, seconds=10.0 if i <= num_warm_up else 1.0,
        )
        for i in range(1, planned + 1)
    ]  # fmt: skip
    measured = summarise(events, [], [Attempt(started_at=0.0, ended_at=9000.0)])
    rates = (
        measured.steady_tokens_per_second,
        measured.label_tokens_per_second,
        measured.samples_per_second,
    )
    assert measured.num_steady_steps == steady
    assert rates == ((100.0, 40.0, 4.0) if steady else (None, None, None))
    assert measured.first_step_seconds == 10.0


def test_steps_after_a_resume_warm_up_again():
    events = [
        *(_step(float(i), i, num_steps=30) for i in range(1, 21)),
        ResumeEvent(at=100.0, step=15),
        *(_step(100.0 + i, i, num_steps=30) for i in range(16, 31)),
    ]
    attempts = [Attempt(started_at=0.0, ended_at=21.0), Attempt(started_at=99.0, ended_at=140.0)]
    assert summarise(events, [], attempts).num_steady_steps == 30 - 3 - 3


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
    unknown = measured.model_dump(
        exclude={"wall_seconds", "num_attempts", "num_processes", "setup_seconds", "phases"}
    )
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
