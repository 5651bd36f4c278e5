"""A million rows need no more memory than a person's laptop has."""

import json
import subprocess
import sys

import pytest

NUM_ROWS = 1_000_000
WORK = """
import sys
from pathlib import Path
from bakeoff import data
from bakeoff.schema.recipe import DataSpec, PromptSpec
folder = Path(sys.argv[1])
manifest = data.prepare(
    DataSpec(source="rows"), PromptSpec(), base_dir=folder, cache_dir=folder / "cache",
    output_dir=folder / "prepared",
)
# Not ru_maxrss: on Linux a child begins with its parent's, and that parent is a whole test session.
status = Path("/proc/self/status").read_text()
print(manifest.num_rows["train"], int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux tells it")
def test_a_million_rows_are_prepared_within_half_a_gibibyte(tmp_path):
    rows = tmp_path / "rows"
    rows.mkdir()
    with (rows / "train.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for number in range(NUM_ROWS):
            row = {"instruction": f"第{number}题：小明有几个苹果？", "input": "", "output": "三个"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (rows / "test.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WORK, tmp_path], capture_output=True, text=True, check=True
    )
    num_train, peak_bytes = map(int, done.stdout.split())
    assert num_train == NUM_ROWS - 64
    assert peak_bytes < 512 * 2**20
