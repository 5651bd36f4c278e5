"""Fixtures that several parts share."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from tests import tiny

# As the worker does: transformers would import an installed DeepSpeed when it saves a model.
sys.modules.setdefault("deepspeed", None)


def pytest_configure() -> None:
    """Give tests that run side by side cores of their own.

    On shared ones, threads that wait for each other make products of matrices several times
    slower. What a test starts inherits its cores.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::count] or cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that nothing long is begun at the end: whole studies among the rest."""
    items.sort(key=lambda item: (-_limit(item), item.path.parent.name != "runner"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start no slow test that may go on after BAKEOFF_TESTS_END (seconds since 1970); name it."""
    end = os.environ.get("BAKEOFF_TESTS_END")
    if end and item.get_closest_marker("slow") and time.time() + _limit(item) > float(end):
        pytest.skip("no time was left for it: `make test-slow` runs all of them")


def _limit(item: pytest.Item) -> float:
    """Seconds that the test may take."""
    own = item.get_closest_marker("timeout")
    return float(own.args[0] if own else item.config.getini("timeout"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Folder of a tiny model with random weights."""
    return tiny.make_tiny_model(tmp_path_factory.mktemp("tiny") / "模型 tiny")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """Folder with train.jsonl (40 rows) and test.jsonl (6 rows)."""
    folder = tmp_path_factory.mktemp("data")
    for name, rows in (("train", tiny.rows(40)), ("test", tiny.rows(6, start=100))):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def gsm8k() -> Path:
    """Folder of the real GSM8K."""
    places = [os.environ.get("BAKEOFF_GSM8K_DIR"), "../shared/data/gsm8k"]
    root = Path(__file__).parents[1]
    for place in filter(None, places):
        if (root / place / "train.jsonl").exists():
            return root / place
    pytest.skip("no GSM8K here: set BAKEOFF_GSM8K_DIR to a folder with its train and test.jsonl")
