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
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec
folder = Path(sys.argv[1])
manifest = data.prepare(
    DataSpec(source="rows"), PromptSpec(), base_dir=folder, cache_dir=folder / "cache",
    output_dir=folder / "prepared",
)
# Not ru_maxrss: on Linux a child begins with its parent's, and that parent is a whole test session.
status = Path("/proc/self/status").read_text()
print(manifest.num_rows["train"], int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""
CHECK = """
import sys
from pathlib import Path
from bakeoff.base.hub import HubAccess, say_nothing
from bakeoff.data.inspection.check import CheckSettings, check_rows
from bakeoff.data.inspection.subject import open_splits
from bakeoff.data.sources import Surroundings
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec
folder = Path(sys.argv[1])
around = Surroundings(folder, folder / "cache", HubAccess(), say_nothing)
opened = open_splits(DataSpec(source="rows"), around, is_recipe=False)
settings = CheckSettings(source="rows", prompt=PromptSpec(), max_length=1024)
found = check_rows(opened, settings, report=say_nothing)
status = Path("/proc/self/status").read_text()
print(found.splits["train"].num_rows, int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux tells it")
def test_a_million_rows_are_prepared_within_half_a_gibibyte(tmp_path):
    write_rows(
        tmp_path / "rows",
        lambda number: {
            "instruction": f"第{number}题：小明有几个苹果？",
            "input": "",
            "output": "三个",
        },
    )
    num_train, peak_bytes = numbers_of(WORK, tmp_path)
    assert num_train == NUM_ROWS - 64
    assert peak_bytes < 512 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux tells it")
def test_a_million_conversations_are_checked_within_two_gibibytes(tmp_path):
    def row(number):
        words = " ".join(f"w{number * factor % 997}" for factor in range(1, 26))
        texts = ("Be brief.", f"{number}: {words}?", f"#### {number}")
        roles = ("system", "user", "assistant")
        turns = zip(roles, texts, strict=True)
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    write_rows(tmp_path / "rows", row)
    num_rows, peak_bytes = numbers_of(CHECK, tmp_path)
    assert num_rows == NUM_ROWS
    assert peak_bytes < 2 * 2**30


def write_rows(folder, row):
    folder.mkdir()
    with (folder / "train.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for number in range(NUM_ROWS):
            file.write(json.dumps(row(number), ensure_ascii=False) + "\n")
    (folder / "test.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n', encoding="utf-8")


def numbers_of(program, folder):
    """What a program printed that ran in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.split()]
