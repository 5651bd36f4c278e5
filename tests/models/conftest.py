"""Fixtures of the tests about models."""

import shutil

import pytest
from tests.fake_hub import hub  # noqa: F401 - a fixture

from bakeoff import models
from bakeoff.base.hub import HubAccess
from bakeoff.schema.recipe_subject import ModelSpec


@pytest.fixture
def fetch(tmp_path):
    """Fetch a model with the recipe in ``tmp_path``; gives folder and manifest."""

    def run(source, *, access=None, run_worker=None, progress=None, **spec):
        return models.fetch(
            ModelSpec(source=str(source), **spec),
            base_dir=tmp_path,
            cache_dir=tmp_path / "cache",
            hub=access or HubAccess(),
            run_worker=run_worker or refuse_to_work,
            progress=progress,
        )

    return run


def refuse_to_work(launch, folder):
    pytest.fail("no worker is needed for this model")


@pytest.fixture
def write_model(tmp_path):
    """Write a model's folder below ``tmp_path``."""

    def run(files, name="model"):
        folder = tmp_path / name
        shutil.rmtree(folder, ignore_errors=True)
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return folder

    return run
