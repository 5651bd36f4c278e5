"""Pictures of every page, to look at: `BAKEOFF_SCREENSHOTS=FOLDER pytest -m slow THIS_FILE`."""

import os
import re
from pathlib import Path

import pytest
from tests.dashboard.conftest import make_site
from tests.dashboard.gallery import Gallery
from tests.dashboard.looking import open_page, see_all, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning"),
]

LOOKS = [
    ("en", "light", 1200), ("en", "dark", 1200), ("zh", "light", 1200), ("zh", "dark", 1200),
    ("en", "dark", 390), ("zh", "light", 390),
]  # fmt: skip


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, tiny_model, tiny_data):
    return Gallery(tmp_path_factory.mktemp("gallery"), tiny_model, tiny_data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = Path(os.environ.get("BAKEOFF_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    made.mkdir(parents=True, exist_ok=True)
    return made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
def test_every_page_has_its_picture(browser, gallery, folder, language, scheme, width):
    page = open_page(browser, language=language, scheme=scheme, width=width)
    look = f"{language}-{scheme}{'-phone' if width < 500 else ''}"
    with gallery.running(), served(make_site(gallery.runs_dir)) as address:
        for number, path in enumerate(gallery.addresses(), start=1):
            assert page.goto(address + path).status == (404 if path == "/nowhere" else 200), path
            if path.endswith("/data"):
                page.locator("#check button").click()
                page.locator("#check strong").wait_for()
            see_all(page)
            page.evaluate("window.scrollTo(0, 0)")
            name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"-[0-9a-f]{12}|[?&].*", "", path)).strip("-")
            picture = folder / f"{look}-{number:02}-{name or 'studies'}.png"
            page.screenshot(path=picture, full_page=True)
            assert picture.stat().st_size > 5_000, path
    page.context.close()
