"""Fixtures that several parts share."""

import json
import sys
from pathlib import Path

import pytest
from tests import tiny

# As the worker does: transformers would import an installed DeepSpeed when it saves a model.
sys.modules.setdefault("deepspeed", None)


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
