"""What holds for every tracker; a new one is tested by its line in the registry.

Each is driven by its real client and read back with its own reader (``driven.py``).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakeoff.runner.prepare import install_line, shortfalls
from bakeoff.trackers import TRACKERS

DRIVEN = Path(__file__).with_name("driven.py")
QUICK = ("tensorboard",)
ENDS = {
    "mlflow": ["FINISHED", "FAILED"],
    "swanlab": [1, 2],
    "tensorboard": [1, 2],
    "trackio": ["finished", "failed"],
    "wandb": [0, 1],
}
"""What each calls a run that finished and one that failed."""

ALL = [
    pytest.param(name, marks=() if name in (*QUICK, "mlflow") else pytest.mark.slow)
    for name in TRACKERS.names()
]


def clean_environment(home: Path) -> dict[str, str]:
    """Of a person who is logged in nowhere."""
    trackers = ("MLFLOW_", "WANDB_", "SWANLAB_", "TRACKIO_")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(trackers)}
    return {**ours, "HOME": str(home), "USERPROFILE": str(home)}


@pytest.mark.parametrize("name", ALL)
def test_a_tracker_keeps_what_it_is_told_and_goes_on_with_a_run(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(DRIVEN), name, str(tmp_path)],
        cwd=tmp_path, env=clean_environment(tmp_path), stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    # The first start, the second one of the same run, the evaluation, and after all was deleted.
    assert told["new"] == [True, False, True, True]
    assert told["same"]
    assert told["read"] == {
        "losses": [[1, 3.0], [2, 2.0], [3, 1.5]],
        "wall": 9.0,
        "status": ENDS[name],
        "num_runs": 2,
    }


@pytest.mark.parametrize("name", TRACKERS.names())
def test_a_tracker_says_where_to_look_without_its_client(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    tracker = TRACKERS.get(name)(tmp_path / name, clean_environment(tmp_path))
    assert str(tmp_path) in tracker.look()
    assert str(tmp_path) in tracker.address()
    assert shortfalls(tracker.requirements) == []
    assert name in install_line(name)


@pytest.mark.parametrize(
    ("name", "variables", "place"),
    [
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://me:secret@host:5000"}, "http://...@host:5000"),
        ("wandb", {"WANDB_API_KEY": "secret"}, "https://wandb.ai"),
        ("wandb", {"WANDB_API_KEY": "secret", "WANDB_MODE": "offline"}, "wandb sync"),
        ("wandb", {"WANDB_API_KEY": "s", "WANDB_BASE_URL": "https://w.firm"}, "https://w.firm"),
        ("swanlab", {"SWANLAB_API_KEY": "secret"}, "https://swanlab.cn"),
        ("swanlab", {"SWANLAB_MODE": "local"}, "swanlab watch"),
        ("trackio", {"TRACKIO_SPACE_ID": "me/space"}, "https://huggingface.co/spaces/me/space"),
        ("trackio", {"TRACKIO_SERVER_URL": "http://host?write_token=secret"}, "http://host"),
    ],
)  # fmt: skip
def test_the_persons_own_settings_go_first(name, variables, place, tmp_path):
    environment = {**clean_environment(tmp_path), **variables}
    tracker = TRACKERS.get(name)(tmp_path / name, environment)
    shown = tracker.look() + tracker.address()
    assert tracker.look().startswith(place)
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("name", "file", "line", "place"),
    [
        ("wandb", ".netrc", "machine api.wandb.ai\n  login user\n", "https://wandb.ai"),
        ("wandb", ".netrc", "machine other.example\n  login user\n", "wandb sync"),
        ("swanlab", ".swanlab/.netrc", "machine https://api.swanlab.cn\n", "https://swanlab.cn"),
    ],
)
def test_who_is_logged_in_gets_the_runs_online(name, file, line, place, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line, encoding="utf-8")
    tracker = TRACKERS.get(name)(tmp_path / name, clean_environment(tmp_path))
    assert tracker.look().startswith(place)
