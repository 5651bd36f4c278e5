import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.compare.factory import (
    StudyOnDisk,
    make_eval,
    make_provenance,
    make_samples,
    make_train,
    standard_study,
)

from bakeoff.cli.summary import write_study_report
from bakeoff.compare.numbers import MISSING
from bakeoff.report.document import typeset, write_report
from bakeoff.report.examples import pick_examples
from bakeoff.report.figures import embeddable
from bakeoff.report.table import Cell, Column, Table, markdown_table
from bakeoff.report.view import make_view
from bakeoff.schema.plan import Plan
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store

RECIPE = "name: quickstart\nmethod: [lora, full]\n"
PICTURES = {"accuracy", "difference", "formats", "time", "memory", "loss"}


class _Outline(HTMLParser):
    """Tags and whatever could reach out or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.outside = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.outside += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href")
            and not (value or "").startswith(("#", "data:"))
        ]
        self.outside += [name for name, _ in attrs if name.startswith("on")]


def _write(study, folder, **options):
    paths = write_report("quickstart", study.records, study.runs_dir, folder, **options)
    html = paths.html.read_text(encoding="utf-8")
    outline = _Outline()
    outline.feed(html)
    return paths, html, paths.markdown.read_text(encoding="utf-8"), outline


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    study = standard_study(tmp_path_factory.mktemp("runs"))
    folder = tmp_path_factory.mktemp("report")
    return _write(study, folder, recipe_text=RECIPE, overrides=("seed=1",))


def test_the_report_is_markdown_html_and_pictures(written):
    paths, _, _, _ = written
    assert {path.stem for path in paths.figures} == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths.figures)


def test_the_page_asks_nothing_of_the_network_and_runs_nothing(written):
    _, html, _, outline = written
    assert outline.outside == []
    assert not {"script", "link", "iframe", "img"} & set(outline.tags)
    assert "url(http" not in html
    assert "@import" not in html
    assert len(html) < 1_500_000


def test_both_twins_say_the_verdict_the_numbers_and_how_to_get_them_again(written):
    _, html, markdown, _ = written
    for text in (html.replace("\N{NO-BREAK SPACE}", " "), markdown):
        assert "LoRA answers 43.3 % of 120 questions right, the base model 1.7 %: +41.7" in text
        assert "with one seed this compares two checkpoints, not two methods" in text
        assert "1 min 38 s" in text
        assert "1.43 GiB" in text
        assert "bakeoff run examples/quickstart.yaml" in text
        assert "method: [lora, full]" in text
        assert "seed=1" in text
        assert "points of the gain are form only" in text


def test_pictures_inside_the_page_have_a_title_and_ids_of_their_own(written):
    _, html, _, _ = written
    assert len(re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>", html)) == len(PICTURES)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", html)
    assert set(used) <= set(ids)


def test_settings_that_differ_are_marked(written):
    _, html, _, _ = written
    assert re.search(r'class="right mark"><span>0\.001</span>', html)
    assert re.search(r"The same for all|the same for all", html)


def test_markdown_tables_are_aligned(written):
    _, _, markdown, _ = written
    table = re.search(r"(\| Model.*?)\n\n", markdown, re.DOTALL).group(1)
    assert len({len(line) for line in table.splitlines()}) == 1


def test_hostile_output_stays_text(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    hostile = "</pre><script>alert(1)</script>\n```\n# not a heading\n<img src=x onerror=alert(1)>"
    base = make_samples([False] * 20, output=hostile)
    study.add(make_eval("base", base), base)
    training = make_train("t", warnings=("<b>loud</b> `x`",))
    training = study.add(
        training.model_copy(update={"cell": {**training.cell, "data": "<i>d</i>"}})
    )
    study.add(make_train("u"))
    tuned = make_samples([True] * 20, output=hostile)
    study.add(make_eval("tuned", tuned, parent=training), tuned)
    _, html, markdown, outline = _write(study, tmp_path / "out", recipe_text=hostile)
    assert not {"script", "img", "b", "i"} & set(outline.tags)
    assert outline.outside == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\n````text\n" in markdown
    assert "&lt;b>loud" in markdown


def test_examples_show_the_first_flip_each_way(tmp_path):
    from bakeoff.compare.tables import load_all_samples, study_rows

    study = StudyOnDisk(tmp_path)
    base = make_samples([False, True, False, True])
    study.add(make_eval("base", base), base)
    training = study.add(make_train("t"))
    tuned = make_samples([False, False, True, True])
    study.add(make_eval("tuned", tuned, parent=training), tuned)
    samples = load_all_samples(study.records, tmp_path)
    right, wrong = pick_examples(study_rows(study.records, samples), samples)
    assert (right.heading, right.flipped_to_right) == ("LoRA, 0-shot, item 2", True)
    assert (wrong.heading, wrong.flipped_to_right) == ("LoRA, 0-shot, item 1", False)


def test_a_study_in_which_everything_failed_still_has_a_report(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB"
    study.add(
        make_train(
            "t", status="out_of_memory", error=reason, measurement=None, losses=(), data=None
        )
    )
    paths, html, markdown, _ = _write(study, tmp_path / "out")
    assert paths.figures == ()
    for text in (html, markdown):
        assert "No evaluation has finished" in text
        assert "out of memory" in text
        assert reason in text


def test_no_base_evaluation_is_said_and_no_difference_is_made_up(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    training = study.add(make_train("t"))
    study.add_model("e", 0.4, parent=training)
    paths, html, _, _ = _write(study, tmp_path / "out")
    assert "The base model was not evaluated" in html
    assert "difference" not in {path.stem for path in paths.figures}


def test_missing_numbers_are_dashes_and_never_zero(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    training = make_train("t")
    bare = training.measurement.model_copy(
        update={
            "train_seconds": None,
            "tokens_per_second": None,
            "peak_host_bytes": None,
            "phases": (),
        }
    )
    training = study.add(training.model_copy(update={"measurement": bare}))
    study.add_model("base", 0.1)
    study.add_model("e", 0.4, parent=training)
    paths, _, markdown, _ = _write(study, tmp_path / "out")
    results = markdown.split("## Results")[1].split("\n\n")[1]
    # A column without a single number is left out.
    assert "Training" not in results
    assert "Peak memory" not in results
    assert not {"time", "memory"} & {path.stem for path in paths.figures}
    assert re.search(r"\| LoRA \(training\) .*\| +1 \|", markdown)
    costs = markdown.split("## Time and memory")[1].split("## ")[0]
    assert not re.search(r"\| +0(\.0)?( s| MiB)? *\|", costs)


def test_overlap_that_the_recipe_allows_is_a_prominent_warning(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    training = make_train("t")
    data = training.data.model_copy(update={"num_overlapping": 7})
    study.add(training.model_copy(update={"data": data}))
    _, html, markdown, _ = _write(study, tmp_path / "out")
    assert "7 test questions stand in the training split" in html.split("<section")[0]
    assert "7 test questions stand in the training split" in markdown.split("## ")[0]
    assert "`data.allow_overlap`" in markdown


def test_several_seeds_are_told_by_mean_and_spread(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    study.add_model("base", 0.1)
    for seed in (0, 1):
        training = study.add(make_train(f"t{seed}", seed=seed))
        study.add_model(f"e{seed}", 0.4, parent=training)
    _, html, markdown, _ = _write(study, tmp_path / "out")
    assert "right on average over 2 seeds" in markdown
    assert "hierarchical bootstrap" in html


def test_a_cell_with_one_seed_has_its_verdict_beside_one_with_several(tmp_path):
    study = StudyOnDisk(tmp_path / "runs")
    study.add_model("base", 0.1)
    for method, seed in (("lora", 0), ("lora", 1), ("full", 0)):
        training = study.add(make_train(f"t-{method}-{seed}", method=method, seed=seed))
        study.add_model(f"e-{method}-{seed}", 0.4, parent=training)
    verdicts = [each.text for each in make_view("x", study.records, study.runs_dir).verdicts]
    assert len(verdicts) == 2
    assert verdicts[0].startswith("LoRA answers")
    assert "over 2 seeds" in verdicts[0]
    assert verdicts[1].startswith("Full fine-tuning, seed 0 answers")


def test_the_command_is_that_of_the_study_and_not_of_the_study_that_trained(tmp_path):
    study = standard_study(tmp_path / "runs")
    store = Store(study.runs_dir)
    store.save_study(
        Study(
            name="quickstart",
            plan=Plan(study="quickstart", axes=(), steps=()),
            recipe_path="mine.yaml",
            recipe_text=RECIPE,
            overrides=(),
            command_line=("bakeoff", "run", "mine.yaml"),
            started_at="2026-11-23T21:00:00Z",
        )
    )
    markdown = write_study_report(store, "quickstart", tmp_path / "out").markdown.read_text("utf-8")
    assert "bakeoff run mine.yaml" in markdown
    assert "bakeoff run examples/quickstart.yaml" not in markdown


def test_hardware_that_is_not_known_is_a_dash_and_not_a_cpu(tmp_path):
    for hardware, text in (({}, MISSING), ({"gpus": []}, "CPU"), ({"gpus": ["H200"]}, "H200")):
        record = make_train("t", provenance=make_provenance(hardware=hardware))
        assert dict(make_view("x", [record], tmp_path).facts)["Hardware"] == text


def test_figures_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    study = standard_study(tmp_path / "runs")
    _write(study, tmp_path / "out")
    (tmp_path / "out" / "figures" / "mine.png").write_bytes(b"")
    paths = write_report("quickstart", study.records[:1], study.runs_dir, tmp_path / "out")
    left = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert left == {"mine.png", *(path.name for path in paths.figures)}
    assert left < {"mine.png", *(f"{name}.png" for name in PICTURES)}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "figures",
        "report.md",
        "report.html",
    }


def test_a_reader_of_the_old_report_never_sees_a_part_of_the_new(tmp_path, monkeypatch):
    study = standard_study(tmp_path / "runs")
    paths = _write(study, tmp_path / "out")[0]
    shown = [*paths.figures, paths.markdown, paths.html]
    old = {path: path.read_bytes() for path in shown}
    write = Path.write_bytes

    def stop_in_the_middle(path, content):
        write(path, content[: len(content) // 2])
        if path.name == "report.html":
            raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", stop_in_the_middle)
    with pytest.raises(OSError, match="no space left"):
        write_report("quickstart", study.records[:3], study.runs_dir, tmp_path / "out")
    assert {path: path.read_bytes() for path in shown} == old
    assert not list((tmp_path / "out").glob(".*"))


def test_planned_runs_that_are_missing_are_named(tmp_path):
    study = standard_study(tmp_path / "runs")
    from bakeoff.schema.plan import EvalPlan, run_name
    from bakeoff.schema.recipe_subject import PromptSpec

    step = EvalPlan(
        id="abc", model_id="m", train_id=None, data_id="d", prompt=PromptSpec(), task="data",
        num_fewshot=5, limit=None, max_new_tokens=9, batch_size=1, engine="hf", precision="bf16",
        device="cpu", seed=1, axes={},
    )  # fmt: skip
    plan = Plan(study="quickstart", axes=(), steps=(step,))
    _, html, markdown, _ = _write(study, tmp_path / "out", plan=plan)
    assert run_name(step) in html
    assert run_name(step) in markdown


def test_wide_characters_count_double_in_a_markdown_table():
    table = Table(
        [Column("名", "left"), Column("n")], [[Cell("数学"), Cell("1")], [Cell("a|b"), Cell("22")]]
    )
    assert markdown_table(table) == (
        "| 名   |   n |\n| ---- | --: |\n| 数学 |   1 |\n| a\\|b |  22 |"
    )


def test_a_page_has_true_minus_signs_and_leaves_names_alone():
    assert typeset("-4.2 to 7.5 in smollm2-135m, 0-shot, 1e-05") == (
        "\N{MINUS SIGN}4.2 to 7.5 in smollm2-135m, 0-shot, 1e-05"
    )
    assert typeset("95 % of 3 GiB") == "95\N{NO-BREAK SPACE}% of 3\N{NO-BREAK SPACE}GiB"


def test_an_embedded_picture_follows_the_pages_colours():
    group = '<g id="c" clip-path="url(#c)" fill="#2a62d9"/>'
    svg = f'<svg class="marks" width="9" height="9">{group}</svg>'
    assert embeddable(svg, key="k", title='a "b"') == (
        '<svg class="marks" role="img" aria-label="a &quot;b&quot;"><title>a &quot;b&quot;</title>'
        '<g id="k-c" clip-path="url(#k-c)" fill="var(--series-0, #2a62d9)"/></svg>'
    )
