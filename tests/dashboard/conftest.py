import os
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.browser import open_browser
from tests.dashboard.planned import planned_study

from bakeoff.cli.places import workspace_of_study
from bakeoff.cli.recipe_commands import preset_folder
from bakeoff.dashboard.access import CSRF_HEADER, Access
from bakeoff.dashboard.app import make_app
from bakeoff.dashboard.site import Site


def make_site(runs_dir: Path, **options) -> Site:
    """As `bakeoff ui` makes it, with a cache beside the runs."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    cache = runs_dir.parent / "cache"

    def workspace_of(recipe, overrides):
        return workspace_of_study(recipe, overrides, runs_dir=runs_dir, cache_dir=cache)

    return Site(
        runs_dir=runs_dir,
        workspace_of=workspace_of,
        presets=preset_folder(),
        command=(sys.executable, "-m", "bakeoff"),
        environment={**os.environ, "BAKEOFF_CACHE_DIR": str(cache), "NO_COLOR": "1"},
        working_dir=runs_dir.parent,
        **{"access": Access(), **options},
    )


def client_of(site: Site, *, language: str = "en", **headers) -> TestClient:
    return TestClient(
        make_app(site),
        base_url="http://127.0.0.1:8421",
        headers={"accept-language": language, CSRF_HEADER: site.access.csrf, **headers},
        follow_redirects=False,
    )


@pytest.fixture(scope="session")
def standard(tmp_path_factory):
    """A finished study."""
    return planned_study(tmp_path_factory.mktemp("page") / "运行", num_items=60)


@pytest.fixture
def page(standard):
    return client_of(make_site(standard.runs_dir))


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        yield found
