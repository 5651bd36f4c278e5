"""The reporter: files of runs that grow become curves; with TensorBoard's real files."""

import json

import pytest
from tests.backends.plans import make_plan
from tests.compare.factory import make_train

from bakeoff.interfaces import Point
from bakeoff.runner.process_run import EVENTS, TIMELINE
from bakeoff.runner.track.points import GIB, memory_points
from bakeoff.runner.track.reporter import Reporter, make_tracker, tracker_folder
from bakeoff.schema.plan import Plan, run_name
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store

START = 1_700_000_000.0


@pytest.fixture
def store(tmp_path):
    """A study of two trainings, nothing of it done."""
    steps = tuple(make_plan(id=f"{i}123456789ab", axes={"method": "lora"}) for i in (1, 2))
    store = Store(tmp_path / "runs")
    plan = Plan(study="tiny", axes=(), steps=steps)
    store.save_study(
        Study(name="tiny", plan=plan, recipe_path="r.yaml", recipe_text="", overrides=(),
              command_line=(), started_at="2026-01-01T00:00:00Z")
    )  # fmt: skip
    return store


def run_dir(store, number=0):
    return store.run_dir(run_name(store.study("tiny").runs[number]))


def add(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def step(number, loss, **more):
    return {"kind": "step", "at": START + number, "step": number, "num_steps": 9, "loss": loss,
            "learning_rate": 1e-3, "seconds": 0.5, "num_tokens": 100, **more}  # fmt: skip


def finish(store, number=0, **changes):
    record = make_train(run_dir(store, number).name, **changes)
    store.save_record(record)
    return record


def report(store, *happenings, tracker=None, say=lambda text: None):
    """One reporter that looks after each of these, and then for the last time."""
    left = list(happenings)

    def wait(seconds):
        if not left:
            return True
        left.pop(0)()
        return False

    tracker = tracker or make_tracker("tensorboard", store.runs_dir, {})
    return Reporter(store, "tiny", "tensorboard", tracker, say).run(wait)


def curves(store):
    """By run's number and series: steps and values, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for folder in sorted(tracker_folder(store.runs_dir, "tensorboard").glob("tiny/*")):
        read = EventAccumulator(str(folder))
        read.Reload()
        number = int(folder.name.partition("(")[2][0]) - 1
        for series in read.Tags()["scalars"]:
            points = [(event.step, event.value) for event in read.Scalars(series)]
            found[number, series] = points
    return found


def test_steps_are_sent_as_they_come_and_the_record_ends_the_run(store):
    events, seen = run_dir(store) / EVENTS, []
    sent = report(
        store,
        lambda: add(events, {"kind": "phase", "at": START, "phase": "train"}, step(1, 3.0)),
        lambda: seen.append(curves(store)[0, "train/loss"]),
        lambda: add(events, step(2, 2.5, grad_norm=1.5)),
        lambda: finish(store),
    )
    assert sent
    assert seen == [[(1, 3.0)]]
    found = curves(store)
    assert found[0, "train/loss"] == [(1, 3.0), (2, 2.5)]
    assert found[0, "train/grad_norm"] == [(2, 1.5)]
    assert found[0, "train/tokens_per_second"] == [(1, 200.0), (2, 200.0)]
    record = store.record_of(store.study("tiny").runs[0])
    assert found[0, "result/wall_seconds"] == [(0, record.measurement.wall_seconds)]
    peak = found[0, "result/peak_memory_gib"][0][1]
    assert peak == pytest.approx(record.measurement.peak_host_bytes / GIB)


def test_a_run_that_goes_on_later_stays_one_run_and_no_step_is_told_twice(store):
    events = run_dir(store) / EVENTS
    report(store, lambda: add(events, step(1, 3.0), step(2, 2.5), step(3, 2.0)))
    resume = {"kind": "resume", "at": START + 9, "step": 1}
    report(store, lambda: add(events, resume, step(2, 2.5), step(3, 2.0), step(4, 1.5)))
    finish(store)
    report(store)
    report(store)
    losses = curves(store)[0, "train/loss"]
    assert losses == [(1, 3.0), (2, 2.5), (3, 2.0), (4, 1.5)]
    assert len(curves(store)[0, "result/wall_seconds"]) == 1


def test_a_torn_line_waits_for_its_end(store):
    events = run_dir(store) / EVENTS
    line = json.dumps(step(2, 2.5)) + "\n"
    add(events, step(1, 3.0))

    def write(text):
        with events.open("a", encoding="utf-8") as file:
            file.write(text)

    report(store, lambda: write(line[:20]), lambda: write(line[20:]))
    assert curves(store)[0, "train/loss"] == [(1, 3.0), (2, 2.5)]


def test_a_run_that_failed_and_is_tried_again_ends_as_the_second_attempt(store):
    events = run_dir(store) / EVENTS
    add(events, step(1, 3.0))
    finish(store, status="failed", error="no memory")
    report(store)
    store.forget_record(run_dir(store).name)
    add(events, step(1, 3.0), step(2, 2.5))
    later = make_train("x").provenance.model_copy(update={"ended_at": "2026-11-23T22:00:00Z"})
    finish(store, provenance=later)
    report(store)
    assert curves(store)[0, "train/loss"] == [(1, 3.0), (2, 2.5)]


class Unwilling:
    """TensorBoard's tracker behind a network that is down for the first calls."""

    requirements = ()
    is_parallel = True

    def __init__(self, inner, num_failures):
        self._inner = inner
        self.num_failures = num_failures

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def open(self, run, known):
        if self.num_failures > 0:
            self.num_failures -= 1
            raise ConnectionError("cannot reach http://me:secret@host:5000\nmore")
        return self._inner.open(run, known)


def test_a_tracker_that_cannot_be_reached_is_told_of_once_and_gets_everything_later(store):
    add(run_dir(store) / EVENTS, step(1, 3.0))
    finish(store)
    real = make_tracker("tensorboard", store.runs_dir, {})
    said = []
    assert not report(store, tracker=Unwilling(real, 1), say=said.append)
    assert said == ["ConnectionError: cannot reach http://...@host:5000"]
    problem = store.study_dir("tiny") / "trackers" / "tensorboard.problem.txt"
    assert problem.read_text(encoding="utf-8").strip() == said[0]
    assert report(store)
    assert not problem.exists()
    assert curves(store)[0, "train/loss"] == [(1, 3.0)]


def test_where_one_run_can_be_open_the_next_one_waits_and_loses_nothing(store):
    tracker = make_tracker("tensorboard", store.runs_dir, {})
    tracker.is_parallel = False
    seen = []
    report(
        store,
        lambda: add(run_dir(store, 0) / EVENTS, step(1, 3.0)),
        lambda: add(run_dir(store, 1) / EVENTS, step(1, 2.0)),
        lambda: seen.append({number for number, _ in curves(store)}),
        lambda: finish(store, 0),
        tracker=tracker,
    )
    assert seen == [{0}]
    assert curves(store)[1, "train/loss"] == [(1, 2.0)]


def test_another_store_gets_everything(store, tmp_path):
    add(run_dir(store) / EVENTS, step(1, 3.0))
    finish(store)
    report(store)
    elsewhere = make_tracker("tensorboard", tmp_path / "elsewhere", {})
    report(store, tracker=elsewhere)
    assert list((tmp_path / "elsewhere").glob("trackers/tensorboard/tiny/*/*tfevents*"))


def test_peaks_of_memory_survive_the_thinning():
    samples = [{"at": START + i / 5, "host_bytes": GIB} for i in range(5000)]
    samples[1234]["host_bytes"] = 7 * GIB
    points, used = memory_points(samples, START, is_whole=True)
    assert used == 5000
    assert len(points) < 700
    assert max(point.value for point in points) == 7.0
    assert [point.step for point in points] == sorted({point.step for point in points})
    peak = max(points, key=lambda point: point.value)
    assert isinstance(peak, Point)
    assert peak.at == samples[1234]["at"]


def test_the_last_stretch_of_a_timeline_waits_for_its_end(store):
    timeline = run_dir(store) / TIMELINE
    add(run_dir(store) / EVENTS, step(1, 3.0))
    add(timeline, *({"at": START + i / 5, "host_bytes": (1 + i) * GIB} for i in range(8)))
    seen = []
    report(
        store,
        lambda: None,
        lambda: seen.append(curves(store)[0, "memory/host_gib"]),
        lambda: add(timeline, {"at": START + 1.6, "host_bytes": 20 * GIB}),
        lambda: finish(store),
    )
    assert seen == [[(0, 5.0)]]
    assert curves(store)[0, "memory/host_gib"] == [(0, 5.0), (1, 20.0)]


def test_a_record_that_cannot_be_read_hides_no_other_run(store):
    add(run_dir(store, 0) / EVENTS, step(1, 3.0))
    (run_dir(store, 0) / "record.json").write_text("{}", encoding="utf-8")
    add(run_dir(store, 1) / EVENTS, step(1, 2.0))
    assert report(store)
    assert {number for number, _ in curves(store)} == {1}
