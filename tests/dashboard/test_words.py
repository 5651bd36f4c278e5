"""Both languages are whole: nothing is said in one that the other cannot say."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.dashboard.conftest import make_site
from tests.dashboard.planned import planned_study

from bakeoff.compare.phrases import PHRASES
from bakeoff.dashboard.drafts import FORM
from bakeoff.dashboard.pivot import MEASURES
from bakeoff.dashboard.results import FIGURES, study_results
from bakeoff.dashboard.words import Words, core_texts, language_of, own_texts
from bakeoff.data.inspection.kinds import KINDS
from bakeoff.predict.parts import PART_TITLES
from bakeoff.report.timeline_chart import PHASES as TIMELINE_PHASES
from bakeoff.runner.step_names import PHASES

FOLDER = Path(str(files("bakeoff.dashboard")))
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
ZH = Words("zh")
SAID = re.compile(r"""\b(?:_|words)\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


def test_every_text_of_ours_is_in_the_catalogue_and_no_other():
    sources = [*TEMPLATES, *FOLDER.rglob("*.py")]
    found = {a or b for path in sources for a, b in SAID.findall(path.read_text(encoding="utf-8"))}
    assert found == set(own_texts("zh"))


@pytest.mark.parametrize("texts", [own_texts("zh"), core_texts("zh")], ids=["ours", "core"])
def test_a_translation_has_the_places_of_its_text(texts):
    place = re.compile(r"\{\w+\}")
    for english, chinese in texts.items():
        assert chinese.strip()
        assert set(place.findall(chinese)) <= set(place.findall(english)), english
        lost = set(place.findall(english)) - set(place.findall(chinese))
        assert not lost or english in core_texts("zh"), english


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_text_stands_in_a_template_itself(template):
    text = template.read_text(encoding="utf-8")
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
    for name, value in re.findall(r'\b(aria-label|title|placeholder|alt)="([^"]*)"', text):
        assert not re.search("[A-Za-z]{3}", value) or name == "placeholder", (name, value)
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    bare = re.sub(r"<[^>]*>", " ", bare)
    allowed = {"bakeoff", "CPU", "GB", "GiB", "plan", "json"}
    left = set(re.findall(r"[A-Za-z]{2,}|[\u4e00-\u9fff]+", bare)) - allowed
    assert left == set()


def test_what_the_core_says_of_a_study_is_known(tmp_path):
    study = planned_study(tmp_path / "runs", seed=[0, 1])
    view = study_results(make_site(study.runs_dir), "standard", ZH)
    tables = [view.results, view.filters, view.statistics, view.pairs, view.seeds, view.data,
              view.costs, view.speed]  # fmt: skip
    for table in filter(None, tables):
        headers = [column.header for column in table.columns]
        names = [row[0].text for row in table.rows]
        for text in [*headers, *names, table.note]:
            assert text == "" or not ZH.core(text).isascii() or text in ("b : c", "LoRA", "p"), text
    for text in view.format_sentences:
        assert "个百分点" in ZH.core(text), text
    assert all("随机种子" in verdict.text for verdict in view.verdicts)
    assert view.verdicts[0].text.endswith("。")


def test_every_title_that_pages_take_from_elsewhere_is_known():
    titles = [text for both in FIGURES.values() for text in both]
    titles += [field.label for field in FORM] + [m.title for m in MEASURES.values()]
    titles += [*PHASES.values(), *TIMELINE_PHASES, *PART_TITLES.values()]
    titles += [text for kind in KINDS.values() for text in (kind.why, kind.todo)]
    assert [text for text in titles if ZH.core(text).isascii()] == []


def test_names_sentences_and_times_are_put_into_words():
    assert ZH.name("full fine-tuning, ms-swift, seed 1") == "全参数微调，ms-swift，种子 1"
    assert ZH.core("The batch size differs: 8 in a, 16 in b.") == "批大小不同：a 为 8，b 为 16。"
    assert ZH.core("read as messages: the turns from `a`; not used: `id`, `b`") == (
        "按 messages 读取：各轮取自 `a`；未使用：`id`, `b`"
    )
    assert ZH.core("12 (an estimate: no tokenizer is on disk)") == "12（估计值：本机没有分词器）"
    assert (
        ZH.duration(ZH.core("0.98 s ± 0 s, 1.00 (0.90 to 1.10)"))
        == "0.98 秒 ± 0 秒，1.00（0.90 到 1.10）"
    )
    assert ZH.core("nobody translated this") == "nobody translated this"
    assert ZH.duration("2 h 05 min") == "2 小时 05 分钟"
    assert ZH.duration("3 min 20 s") == "3 分 20 秒"
    assert Words("en").core("The batch size differs: 8 in a, 16 in b.").startswith("The batch")


def test_the_language_is_the_chosen_one_else_the_browsers():
    assert language_of("zh", "en-GB") == "zh"
    assert language_of(None, "zh-CN,zh;q=0.9") == "zh"
    assert language_of("xx", "de") == "en"


def test_a_verdict_has_every_sentence_in_both_languages():
    place = re.compile(r"\{\w+\}")
    english, chinese = PHRASES["en"], PHRASES["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(place.findall(text)) == set(place.findall(chinese[key])), key
