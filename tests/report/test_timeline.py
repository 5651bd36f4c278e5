"""Memory over time, from what lies in a run's directory."""

import json

from tests.compare.factory import StudyOnDisk, make_train

from bakeoff.report.document import write_report
from bakeoff.report.timeline import timelines
from bakeoff.report.timeline_chart import PHASES, timeline_chart

MARKS = [
    (1.0, "import"), (3.0, "prepare"), (4.0, "load_model"), (5.0, "prepare"), (6.0, "train"),
    (90.0, "save"), (95.0, "calibrate"),
]  # fmt: skip


def _lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _leave(folder, *, gpu=False):
    """What a training of 96 s leaves, the clock beginning at 1000; its peak is one sample long."""
    folder.mkdir(parents=True, exist_ok=True)
    _lines(folder / "attempts.jsonl", [{"started_at": 1000.0}, {"ended_at": 1096.0}])
    marks = [{"kind": "phase", "at": 1000 + at, "phase": phase} for at, phase in MARKS]
    _lines(folder / "events.jsonl", marks)
    samples = [
        {
            "at": 1000 + i / 10,
            "host_bytes": 3 * 1024**3 if i == 455 else 1024**3,
            "counter": "pss",
            **({"gpus": [{"index": 0, "name": "g", "process_bytes": 7 * 1024**3}]} if gpu else {}),
        }
        for i in range(950)
    ]
    _lines(folder / "timeline.jsonl", samples)


def _study(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    study.add(make_train("a"))
    study.add(make_train("b", method="full"))
    study.add(make_train("c", seed=3))
    _leave(study.runs_dir / "a")
    _leave(study.runs_dir / "b", gpu=True)
    return study


def test_a_timeline_keeps_every_peak_and_leaves_the_calibration_out(tmp_path):
    study = _study(tmp_path)
    on_host, on_device = timelines(study.records, study.runs_dir)
    assert (on_host.counter, on_device.counter) == ("host", "device")
    assert len(on_host.points) < 400
    assert max(size for _, size in on_host.points) == 3 * 1024**3
    assert {size for _, size in on_device.points} == {7 * 1024**3}
    assert [(span.phase, span.begins, span.ends) for span in on_host.phases] == [
        ("start", 0.0, 1.0), ("import", 1.0, 3.0), ("prepare", 3.0, 4.0), ("load_model", 4.0, 5.0),
        ("prepare", 5.0, 6.0), ("train", 6.0, 90.0), ("save", 90.0, 95.0),
    ]  # fmt: skip


def test_panels_share_their_axes_and_know_every_phase(tmp_path):
    study = _study(tmp_path)
    chart = timeline_chart(timelines(study.records, study.runs_dir)).to_dict()
    assert chart["resolve"]["scale"] == {"x": "shared", "y": "shared", "color": "shared"}
    assert len(chart["vconcat"]) == 2
    bands = chart["vconcat"][0]["layer"][0]["data"]["name"]
    shown = {row["phase"] for row in chart["datasets"][bands]}
    assert shown == {"starting", "loading model", "steps", "saving"} < set(PHASES)
    assert timeline_chart([]) is None


def test_a_report_shows_the_timeline_in_both_forms(tmp_path):
    study = _study(tmp_path)
    paths = write_report("quickstart", study.records, study.runs_dir, tmp_path / "out")
    assert "timeline" in {path.stem for path in paths.figures}
    assert "figures/timeline.png" in paths.markdown.read_text(encoding="utf-8")
    assert 'aria-label="Memory over time' in paths.html.read_text(encoding="utf-8")
