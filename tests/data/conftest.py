"""Fixtures of the tests about data."""

import json

import pytest
from tests.fake_hub import hub  # noqa: F401 - a fixture

from bakeoff import data
from bakeoff.base.files import iter_jsonl
from bakeoff.base.hub import HubAccess
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec


@pytest.fixture
def prepare(tmp_path):
    """Prepare a dataset with the recipe in ``tmp_path``; gives the manifest and rows by split."""

    def run(source="rows", *, prompt=None, access=None, **spec):
        folder = tmp_path / "prepared"
        manifest = data.prepare(
            DataSpec(source=str(source), **{"num_validation": 0, **spec}),
            prompt or PromptSpec(),
            base_dir=tmp_path,
            cache_dir=tmp_path / "cache",
            output_dir=folder,
            hub=access or HubAccess(),
        )
        splits = ("train", "validation", "test")
        return manifest, {split: list(iter_jsonl(folder / f"{split}.jsonl")) for split in splits}

    return run


@pytest.fixture
def write(tmp_path):
    """Write a file below ``tmp_path``: text as UTF-8, bytes as they are, rows as JSON lines."""

    def run(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path

    return run
