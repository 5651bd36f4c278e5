"""The report as a real browser shows it."""

import pytest
from tests.browser import open_browser
from tests.compare.factory import standard_study

from bakeoff.report.document import write_report

SECTIONS = ["Results", "Statistics", "Examples", "Data"]


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    study = standard_study(tmp_path_factory.mktemp("runs"))
    return write_report(
        "quickstart", study.records, study.runs_dir, tmp_path_factory.mktemp("report")
    ).html


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_opens_alone_and_fits_its_window(browser, page_file, scheme, width):
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(page_file.as_uri())
    assert asked == [page_file.as_uri()]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    headings = page.locator("h2").all_inner_texts()
    assert [name for name in SECTIONS if name not in headings] == []
    for picture in page.locator("svg").all():
        box = picture.bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert box["height"] > 40
    page.close()


@pytest.mark.slow
def test_text_stands_out_from_its_background_in_both_schemes(browser, page_file):
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(page_file.as_uri())
        colours = page.evaluate(
            "() => { const style = getComputedStyle(document.body);"
            " return [style.color, style.backgroundColor]; }"
        )
        text, background = (_luminance(colour) for colour in colours)
        brighter, darker = max(text, background), min(text, background)
        assert (brighter + 0.05) / (darker + 0.05) > 7, (scheme, colours)
        page.close()


def _luminance(colour):
    """Relative luminance of `rgb(r, g, b)`, WCAG 2.1."""
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
