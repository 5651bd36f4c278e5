"""The real environments: installed by the code under test, and proven by training."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.command import bakeoff

from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.uv import find_uv

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("环境 envs")


@pytest.fixture(autouse=True)
def shared_downloads(monkeypatch):
    """What uv has downloaded for anything else need not come again."""
    import os

    program = find_uv(os.environ).program
    done = subprocess.run([program, "cache", "dir"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("UV_CACHE_DIR", done.stdout.strip())


TRAINERS = [name for name in ENVIRONMENTS.names() if not ENVIRONMENTS.get(name).answers]


@pytest.mark.parametrize("name", TRAINERS)
def test_an_environment_is_installed_and_trains(place, name):
    folder = bakeoff(place, "env", "install", name).stdout.strip()
    check = json.loads(bakeoff(place, "env", "check", name, "--json").stdout)
    assert check["ok"]
    assert len(check["losses"]) == 2
    assert check["differences"] == []
    listed = {
        row["name"]: row for row in json.loads(bakeoff(place, "env", "list", "--json").stdout)
    }
    assert listed[name]["folder"] == folder
    assert listed[name]["as_locked"] is True
    assert listed[name]["checked"]["ok"] is True
    assert "works" in bakeoff(place, "env", "list").stdout


def test_a_damaged_environment_is_seen_fails_its_check_and_is_mended(place):
    folder = Path(bakeoff(place, "env", "install", "swift").stdout.strip())
    site = next(folder.glob("lib/python*/site-packages"))
    # Files are shared with uv's cache: taking a folder away is safe, writing into one is not.
    (site / "peft").rename(folder / "peft")
    (info,) = site.glob("peft-*.dist-info")
    info.rename(folder / info.name)
    assert "changed: peft" in bakeoff(place, "env", "list").stdout
    failed = json.loads(bakeoff(place, "env", "check", "swift", "--json", expect=1).stdout)
    assert failed["ok"] is False
    assert "peft" in failed["error"]
    assert Path(bakeoff(place, "env", "install", "swift").stdout.strip()) == folder
    assert (site / "peft").is_dir()
    bakeoff(place, "env", "remove", "swift")
    assert not folder.exists()
