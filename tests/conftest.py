"""Fixtures that several parts share."""

import json
from pathlib import Path

import pytest
from tests import tiny


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
