"""Child processes end with us, however we end."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bakeoff.base.process import Child, capture, is_running, log_tail, started_at, stop_tree

SLEEPER = "import time; time.sleep(600)"
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\ntime.sleep(600)\n"
)


def _env():
    return dict(os.environ)


def test_output_and_errors_go_to_the_log_and_the_exit_code_comes_back(tmp_path):
    code = "import sys; print('ja'); sys.stderr.write('nein\\n'); sys.exit(7)"
    log = tmp_path / "深" / "log.txt"
    with Child([sys.executable, "-c", code], env=_env(), cwd=tmp_path, log_path=log) as child:
        assert child.wait(30) == 7
    assert sorted(log.read_text(encoding="utf-8").split()) == ["ja", "nein"]


def test_leaving_the_block_stops_the_whole_family(tmp_path):
    log = tmp_path / "log.txt"
    with Child([sys.executable, "-c", PARENT], env=_env(), cwd=tmp_path, log_path=log) as child:
        grandchild = _wait_for_number(log)
        assert psutil.pid_exists(grandchild)
    assert not psutil.pid_exists(child.pid)
    _wait_until_gone(grandchild)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal to ignore")
def test_a_child_that_ignores_the_request_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("bakeoff.base.process._GRACE_SECONDS", 0.5)
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(1, flush=True)\ntime.sleep(600)\n"
    )
    log = tmp_path / "log.txt"
    with Child([sys.executable, "-c", code], env=_env(), cwd=tmp_path, log_path=log) as child:
        _wait_for_number(log)
    assert child.wait(0) == -signal.SIGKILL


def test_a_process_is_known_by_id_and_start_time_together():
    process = subprocess.Popen([sys.executable, "-c", SLEEPER])
    created = started_at(process.pid)
    assert created is not None
    assert is_running(process.pid, created)
    assert not is_running(process.pid, created - 100)
    stop_tree(process.pid)
    process.wait()
    assert not is_running(process.pid, created)


def test_the_tail_of_a_log_folds_progress_bars(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes("one\n 1%\r 50%\r100%\n\nBöse\n".encode())
    assert log_tail(log) == "one\n100%\nBöse"
    assert log_tail(log, num_lines=1) == "Böse"
    assert log_tail(tmp_path / "absent") == ""


def test_a_missing_command_captures_nothing(tmp_path):
    assert capture(["no-such-command-here"], cwd=tmp_path) is None
    assert capture([sys.executable, "-c", "raise SystemExit(1)"], cwd=tmp_path) is None
    assert capture([sys.executable, "-c", "print('x')"], cwd=tmp_path) == "x"


def _wait_for_number(log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        text = log.read_text() if log.exists() else ""
        if text.endswith("\n"):
            return int(text.split()[0])
        time.sleep(0.05)
    raise TimeoutError(log)


def _wait_until_gone(pid):
    deadline = time.monotonic() + 15
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
