"""The pages as a person uses them: looked at, by keyboard, with hostile texts, running a study."""

import json
import re
import time
from pathlib import Path

import psutil
import pytest
from tests.compare.factory import make_train
from tests.dashboard.conftest import make_site
from tests.dashboard.looking import open_page, see_all, served
from tests.dashboard.planned import HOSTILE, planned_study
from tests.trained import make_saying, trained_study, write_test_split

from bakeoff.base.files import iter_jsonl, write_jsonl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """With hostile answers, a hostile failure and a hostile log."""
    made = planned_study(tmp_path_factory.mktemp("browser") / "runs", num_items=60)
    for record in made.records:
        folder = made.runs_dir / record.run_id
        (folder / "log.txt").write_text(HOSTILE, encoding="utf-8")
        if record.scores:
            texts = {"output": f"{HOSTILE} 三个 $x^2$ \\(\\sqrt{{2}}\\)", "target": HOSTILE}
            rows = [{**row, **texts} for row in iter_jsonl(folder / "samples.jsonl")]
            write_jsonl(folder / "samples.jsonl", rows)
    made.add(make_train("train-broken", status="failed", error=HOSTILE, warnings=(HOSTILE,)))
    return made


@pytest.fixture(scope="module")
def address(study):
    with served(make_site(study.runs_dir)) as found:
        yield found


def _addresses(study):
    tuned = [r.run_id for r in study.records if r.kind == "eval" and r.parent_run_id]
    base = next(r.run_id for r in study.records if r.kind == "eval" and not r.parent_run_id)
    training = next(r.run_id for r in study.records if r.kind == "train")
    return [
        "/", "/runs", "/studies/standard", f"/runs/{training}", f"/runs/{tuned[0]}",
        "/runs/train-broken", f"/runs/{tuned[0]}/answers?other={base}",
        f"/compare?run={tuned[0]}&run={tuned[1]}&run={base}", "/studies/standard/data",
        "/fit", "/new", "/new?preset=quickstart",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [("en", "light", 1200), ("zh", "dark", 1200), ("zh", "light", 390)],
)
def test_every_page_is_whole_and_can_be_used_by_all(
    browser, study, address, language, scheme, width
):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(browser, language=language, scheme=scheme, width=width)
    for path in _addresses(study):
        page.goto(address + path)
        see_all(page)
        assert page.complaints == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(page).response["violations"]
        grave = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"][:3]]) for v in grave] == [], path
    page.context.close()


def test_charts_are_drawn_and_show_values_under_the_pointer(browser, study, address):
    page = open_page(browser)
    page.goto(f"{address}/studies/standard")
    page.locator("[data-drawn]").first.wait_for()
    see_all(page)
    drawings = page.locator(".charts .chart:not(.none) .drawing")
    assert drawings.count() >= 6
    for drawing in drawings.all():
        box = drawing.locator("svg").bounding_box()
        assert box["width"] > 200
        assert box["height"] > 60
    page.locator("[data-spec*='figures/time'] .mark-rect path").first.hover()
    assert "98.2" in page.locator("#tip").inner_text()
    page.context.close()


def test_answers_are_gone_through_by_keyboard(browser, study, address):
    page = open_page(browser)
    tuned = next(r.run_id for r in study.records if r.kind == "eval" and r.parent_run_id)
    page.goto(f"{address}/runs/{tuned}/answers")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "item-1"
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "item-0"
    page.keyboard.press("n")
    page.wait_for_url("**page=2")
    page.keyboard.press("w")
    page.wait_for_url("**which=wrong")
    assert page.locator(".answer.is-right").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("apples")
    page.keyboard.press("Enter")
    page.wait_for_url("**words=apples*")
    assert page.locator(".answer").count() > 0
    assert page.complaints == []
    page.context.close()


def test_formulas_are_drawn_and_shown_as_text_by_a_key(browser, study, address):
    tuned = next(r.run_id for r in study.records if r.kind == "eval" and r.parent_run_id)
    page = open_page(browser)
    page.goto(f"{address}/runs/{tuned}/answers")
    answer = page.locator(".answer").first
    assert answer.locator("math msup").is_visible()
    # Its own width and its root's sign: a font that lacks it would draw none.
    width = "(element) => element.getBoundingClientRect().width"
    root = answer.locator("msqrt")
    assert root.evaluate(width) > root.locator(":scope > *").evaluate(width) + 2
    page.keyboard.press("t")
    assert not answer.locator("math msup").is_visible()
    assert answer.get_by_text("$x^2$").is_visible()
    page.keyboard.press("n")
    page.wait_for_url("**page=2")
    assert page.locator("#as-text").is_checked()
    page.keyboard.press("t")
    assert page.locator(".answer math").first.is_visible()
    assert page.complaints == []
    page.context.close()


def test_runs_are_chosen_sorted_and_compared(browser, study, address):
    page = open_page(browser)
    page.goto(f"{address}/studies/standard")
    page.get_by_role("link", name="Right answers").click()
    page.wait_for_url("**sort=score**")
    page.locator("#runs-table tbody tr").first.get_by_role("checkbox").check()
    page.locator("#runs-table tbody tr").nth(2).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare 2 runs").click()
    page.wait_for_url("**/compare?run=**")
    page.locator("#scores .verdicts").first.wait_for()
    assert "questions right" in page.locator(".verdicts").first.inner_text()
    page.locator("#curves[data-drawn]").wait_for()
    assert page.complaints == []
    page.context.close()


def test_the_page_remembers_language_and_colours(browser, address):
    page = open_page(browser)
    page.goto(f"{address}/fit")
    page.get_by_role("link", name="中文").click()
    assert page.locator("h1").inner_text() == "放得下吗？"
    page.get_by_role("link", name="深色").click()
    page.locator("html[data-theme=dark]").wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    page.goto(address)
    assert page.locator("h1").inner_text() == "实验"
    page.context.close()


SAID = f"{HOSTILE} 四个 $x^2$"
EXAMPLE = {
    "prompt": f"2 + 2? {HOSTILE}", "response": "#### 4",
    "messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
}  # fmt: skip


@pytest.fixture(scope="module")
def talked(tmp_path_factory, tiny_model):
    """Address of the page of a training whose models say hostile things."""
    folder = tmp_path_factory.mktemp("talk")
    model_dir = make_saying(tiny_model, folder / "model", SAID)
    store, run_id = trained_study(folder / "runs", model_dir)
    write_test_split(store, folder / "cache", [EXAMPLE])
    with served(make_site(store.runs_dir)) as address:
        yield f"{address}/runs/{run_id}"


@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("en", "dark", 1200), ("zh", "light", 390)]
)
def test_two_models_answer_a_question_side_by_side(browser, talked, language, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(browser, language=language, scheme=scheme, width=width)
    page.goto(talked)
    page.get_by_role("link", name={"en": "Try it", "zh": "试一试"}[language]).click()
    page.locator("#question").fill("3 + 3?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("2 + 2?")
    page.keyboard.press("Enter")
    _both_have_answered(page)
    turn = page.locator(".turn").first
    assert turn.locator(".asked").text_content() == "3 + 3?\n2 + 2?"
    assert turn.locator("[data-side=base] pre").text_content() == SAID
    ended = {"en": "ended by itself · 2 tokens · ", "zh": "自行结束 · 2 个词元 · "}[language]
    assert turn.locator("[data-side=base] .ended").text_content().startswith(ended)
    assert turn.locator("[data-side=tuned] .ended").text_content()
    assert turn.locator(".read pre").text_content() == "Question: 3 + 3?\n2 + 2?\nAnswer:"
    # An example brings its expected answer along; what was asked before stays, also after a reload.
    page.locator("#example").click()
    page.get_by_text("#### 4").first.wait_for()
    page.locator("#ask").click()
    _both_have_answered(page)
    assert page.locator(".turn").first.locator(".target pre").text_content() == "#### 4"
    page.reload()
    assert page.locator(".turn").count() == 2
    assert page.locator(".turn [data-side=base] pre").last.text_content() == SAID
    assert page.locator(".turn script, .turn img").count() == 0
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    page.locator("#clear").click()
    assert page.locator(".turn").count() == 0
    page.context.close()


def _both_have_answered(page):
    page.locator(".turn").first.wait_for()
    page.locator("#ask:enabled").wait_for()


def test_answers_are_stopped_and_a_server_that_is_gone_is_told(browser, tmp_path, tiny_model):
    store, run_id = trained_study(tmp_path / "runs", tiny_model)
    page = open_page(browser)
    site = make_site(store.runs_dir)
    with served(site) as address:
        page.goto(f"{address}/runs/{run_id}/talk")
        page.get_by_text("Settings").click()
        page.locator("#max_new_tokens").fill("4000")
        page.locator("#temperature").fill("3")
        page.locator("#question").fill("2 + 2?")
        page.locator("#ask").click()
        page.locator("#stop").click()
        page.get_by_text("stopped by you").first.wait_for()
        _both_have_answered(page)
        assert page.complaints == []
        child = site.talks._now._child.pid
    _until(lambda: not psutil.pid_exists(child), seconds=20)
    page.locator("#question").fill("and now?")
    page.keyboard.press("Enter")
    page.get_by_text("lost its connection").wait_for()
    assert page.locator("#question").input_value() == "and now?"
    page.context.close()


RECIPE = """\
name: watched
model: {model}
data:
  source: {data}
  num_validation: 4
  num_test: 4
method: lora
device: cpu
train:
  max_steps: {steps}
  batch_size: 2
  max_length: 512
  save_every: 1
  precision: fp32
evaluate:
  max_new_tokens: 4
  batch_size: 4
"""


def test_a_study_is_started_watched_stopped_and_finished(browser, tmp_path, tiny_model, tiny_data):
    site = make_site(tmp_path / "runs")
    page = open_page(browser)
    with served(site) as address:
        page.goto(f"{address}/new?preset=quickstart")
        page.get_by_text("The plan").wait_for()
        text = RECIPE.format(model=json.dumps(str(tiny_model)), data=tiny_data, steps=0)
        page.locator("#text").fill(text)
        page.get_by_text("train.max_steps").first.wait_for()
        assert page.get_by_role("button", name="Run it").count() == 0
        page.locator("#text").fill(text.replace("max_steps: 0", "max_steps: 2000"))
        page.get_by_role("button", name="Run it").click()
        page.wait_for_url("**/studies/watched")
        # Live: no reload by hand until the training tells its steps.
        page.get_by_text(re.compile(r"training \d+/2000")).wait_for()
        page.expects_questions = True
        page.get_by_role("button", name="Stop").click()
    # The server is gone; the study ends by itself, because it was told to stop.
    log = tmp_path / "runs" / "studies" / "watched" / "job.log"
    _until(lambda: "interrupted" in log.read_text(encoding="utf-8"))
    with served(make_site(tmp_path / "runs")) as address:
        page.goto(f"{address}/studies/watched")
        page.get_by_text("stopped", exact=True).wait_for()
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("running", exact=True).first.wait_for()
    # Nor does closing the server stop a study.
    records = list(Path(tmp_path / "runs").glob("*/record.json"))
    assert len(records) < 3
    _until(lambda: len(list(Path(tmp_path / "runs").glob("*/record.json"))) == 3)
    assert "interrupted" not in log.read_text(encoding="utf-8")
    page.context.close()


def _until(done, *, seconds=240):
    limit = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.3)
