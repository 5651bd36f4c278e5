"""`bakeoff bench sampler` over a real process."""

import os
import sys
from pathlib import Path

import pytest

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.bench.sampler import SamplerPlan, run_sampler_bench
from bakeoff.runner.workspace import Workspace


def _workspace(folder):
    return Workspace(
        runs_dir=folder,
        cache_dir=folder,
        python=Path(sys.executable),
        environment=dict(os.environ),
        command_line=("bakeoff", "bench", "sampler"),
        hub=HubAccess(),
    )


def _plan(num_bytes):
    return SamplerPlan(held_bytes=(num_bytes,), idle_seconds=2.0, peak_seconds=(2.5,), num_peaks=1)


def test_what_a_process_holds_is_sampled_and_a_long_peak_is_seen(tmp_path):
    found = run_sampler_bench(_plan(64 << 20), tmp_path, _workspace(tmp_path), lambda _: None)
    (cell,) = found.cells
    # Beside the 64 MiB there is an interpreter and nothing else.
    assert 64 << 20 < cell.sampled_bytes < 128 << 20
    assert cell.num_samples >= 1
    assert 0 < cell.core_share < 0.5
    (peak,) = found.peaks
    assert (peak.num_peaks, peak.num_seen) == (1, 1), "longer than any interval between samples"


def test_more_memory_than_there_is_is_refused_before_anything_is_held(tmp_path):
    with pytest.raises(UserError, match="GiB are free"):
        run_sampler_bench(_plan(1 << 60), tmp_path, _workspace(tmp_path), lambda _: None)
