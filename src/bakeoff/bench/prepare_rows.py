"""``python -m bakeoff.bench.prepare_rows job.json``: the first half of our preparation, by itself.

Files are read, every row is checked, overlaps are looked for, rows are drawn and rendered, as in a
study; the second half, tokens and labels, is a job of the worker.
"""

import sys
import time
from pathlib import Path
from typing import Any

from bakeoff import data
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec


def main(job: dict[str, Any]) -> None:
    """Prepare the rows; leaves ``result.json`` in the working folder."""
    spec, prompt = DataSpec(**job["data"]), PromptSpec(**job["prompt"])
    here = Path.cwd()
    ready_at = time.time()
    data.prepare(
        spec,
        prompt,
        base_dir=here,
        cache_dir=here / "cache",
        output_dir=Path(job["output_dir"]),
    )
    write_json_atomic(here / "result.json", {"ready_at": ready_at, "done_at": time.time()})


if __name__ == "__main__":
    main(read_json(Path(sys.argv[1])))
