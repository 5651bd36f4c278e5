"""`bakeoff bench data`: the same ids and labels by every way, or no ratio."""

import json

import pytest
from tests.backends.environments import cache_dir, interpreter
from tests.command import bakeoff

from bakeoff.schema.bench import Bench


def _bench(folder, model, data, *more):
    done = bakeoff(
        folder, "bench", "data", "--model", model, "--data", data, "--rows", 100,
        "--runs-dir", folder / "bench", "--json", *more,
    )  # fmt: skip
    return Bench.model_validate(json.loads(done.stdout))


def test_our_own_preparation_is_measured_over_as_many_rows_as_are_asked(
    tmp_path, tiny_model, tiny_data
):
    found = _bench(tmp_path, tiny_model, tiny_data, "--backends", "builtin")
    cell = found.cells[0]
    assert cell.facts["num_examples"] == 100, "40 rows, again and again"
    assert 0 < cell.facts["num_label_tokens"] < cell.facts["num_train_tokens"]
    assert cell.seconds[0] > 0
    assert cell.start_seconds[0] > 0
    assert cell.peak_host_bytes[0] > 0
    rows = (tmp_path / "bench" / "rows" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(set(rows)) == 100, "no row twice"
    (last,) = [row for row in map(json.loads, rows) if "(100)" in row["messages"][0]["content"]]
    assert last["messages"][1]["content"].startswith(" ")


@pytest.mark.slow
def test_the_frameworks_own_code_makes_the_same_ids_and_labels(tmp_path, tiny_model, tiny_data):
    for name in ("llamafactory", "swift"):
        interpreter(name)  # skips where it is not installed
    found = _bench(tmp_path, tiny_model, tiny_data, "--cache-dir", cache_dir())
    assert [cell.failures for cell in found.cells] == [()] * 6
    assert len({cell.digest for cell in found.cells}) == 1
    assert [ratio.refused for ratio in found.ratios] == [None] * 4
    assert all(ratio.time.median > 0 for ratio in found.ratios)
