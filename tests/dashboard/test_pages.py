"""Every page answers, in both languages, and shows text as text."""

import json

import pytest
from tests.compare.factory import make_train
from tests.dashboard.conftest import client_of, make_site
from tests.dashboard.planned import HOSTILE, planned_study, save_study

from bakeoff.base.files import iter_jsonl, write_json_atomic, write_jsonl


def _ids(study):
    trainings = [r.run_id for r in study.records if r.kind == "train"]
    tuned = [r.run_id for r in study.records if r.kind == "eval" and r.parent_run_id]
    base = next(r.run_id for r in study.records if r.kind == "eval" and not r.parent_run_id)
    return trainings, tuned, base


def addresses(study):
    """Of every page and every part of one."""
    trainings, tuned, base = _ids(study)
    several = f"run={tuned[0]}&run={tuned[1]}&run={base}"
    name = "/studies/standard"
    yield from ("/", "/runs", "/compare", "/fit", "/new", "/new?preset=quickstart")
    yield from (name, f"{name}/table?sort=score&down=true", f"{name}/pivot", f"{name}/results")
    yield from (f"{name}/data", "/new?study=standard", f"/compare?{several}")
    yield f"/compare/scores?{several}"
    yield from (f"/runs/{run_id}" for run_id in (*trainings, *tuned, base))
    yield from (f"/runs/{tuned[0]}/answers", f"/runs/{tuned[0]}/answers?other={base}&which=changed")


def figures(study):
    trainings, tuned, base = _ids(study)
    several = f"run={tuned[0]}&run={tuned[1]}&run={base}"
    for key in ("accuracy", "difference", "formats", "time", "memory", "loss", "pareto-time"):
        yield f"/studies/standard/figures/{key}.json"
    for key in ("loss", "learning_rate", "grad_norm"):
        yield f"/runs/{trainings[0]}/figures/{key}.json"
    for key in ("accuracy", "pareto-memory", "loss"):
        yield f"/compare/figures/{key}.json?{several}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_answers(standard, language):
    page = client_of(make_site(standard.runs_dir), language=language)
    for address in addresses(standard):
        answer = page.get(address)
        assert answer.status_code == 200, (address, answer.text[:500])
        assert "Traceback" not in answer.text
    whole = page.get("/").text
    assert ("实验" if language == "zh" else "Studies") in whole
    assert page.get("/", headers={"cookie": "bakeoff_language=zh"}).text.count("实验") > 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_figure_is_a_specification_in_the_words_of_the_page(standard, language):
    page = client_of(make_site(standard.runs_dir), language=language)
    for address in figures(standard):
        answer = page.get(address)
        assert answer.status_code == 200, address
        spec = answer.json()
        assert spec["background"] == "transparent"
        assert "var(--series-0)" in answer.text or "var(--good)" in answer.text
        assert _named_data(spec) <= set(spec.get("datasets", {})), address
        titles = set(_titles(spec))
        if language == "zh":
            assert not [t for t in titles if t.isascii() and t not in ("LoRA",)], address


def _named_data(spec):
    """Data that the specification holds under a name."""
    if isinstance(spec, list):
        return {name for each in spec for name in _named_data(each)}
    if not isinstance(spec, dict):
        return set()
    found = {spec["data"]["name"]} if "name" in (spec.get("data") or {}) else set()
    return found | {
        name for key, value in spec.items() if key != "datasets" for name in _named_data(value)
    }


def _titles(spec):
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key == "title" and isinstance(value, str) and any(map(str.isalpha, value)):
                yield value
            yield from _titles(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _titles(value)


def test_what_is_not_there_is_told_so(page):
    for address in (
        "/studies/none",
        "/runs/none",
        "/compare?run=none",
        "/studies/%2e%2e",
        "/runs/%2e%2e",
    ):
        assert page.get(address).status_code == 404, address
    assert page.get("/runs?page=0").status_code == 422


def test_text_of_models_logs_and_recipes_stays_text(tmp_path):
    study = planned_study(tmp_path / "runs")
    for record in study.records:
        folder = study.runs_dir / record.run_id
        (folder / "log.txt").write_text(HOSTILE, encoding="utf-8")
        if record.scores:
            texts = dict.fromkeys(("prompt", "output", "target"), HOSTILE)
            rows = [{**row, **texts} for row in iter_jsonl(folder / "samples.jsonl")]
            write_jsonl(folder / "samples.jsonl", rows)
    broken = make_train("train-broken", status="failed", error=HOSTILE, warnings=(HOSTILE,))
    study.add(broken)
    from bakeoff.store.runs import Store

    found = Store(study.runs_dir).study("standard")
    save_study(study.runs_dir, found.plan, recipe_text=f"# {HOSTILE}\n")
    page = client_of(make_site(study.runs_dir))
    for address in [*addresses(study), "/runs/train-broken", f"/runs?words={HOSTILE}"]:
        text = page.get(address).text
        assert "<script>alert" not in text, address
        assert "<img src=x" not in text, address
        assert "owned" not in text or "&lt;script&gt;" in text or "&#39;owned" in text, address


def test_a_study_shows_what_is_done_and_what_is_left(tmp_path):
    study = planned_study(tmp_path / "runs", leave=2)
    failed = study.records[-1].run_id
    record = json.loads((study.runs_dir / failed / "record.json").read_text(encoding="utf-8"))
    write_json_atomic(
        study.runs_dir / failed / "record.json", {**record, "status": "failed", "error": "why not"}
    )
    page = client_of(make_site(study.runs_dir))
    text = page.get("/studies/standard").text
    assert f"{len(study.records) - 1} of {len(study.records) + 2} runs finished, 1 failed" in text
    assert "why not" in text
    assert "Go on" in text
    assert page.get("/studies/standard/table?state=left").text.count("to do") == 2
    assert (
        "Go on"
        not in client_of(make_site(study.runs_dir, read_only=True)).get("/studies/standard").text
    )


def test_a_grid_holds_the_mean_of_each_field(tmp_path):
    study = planned_study(tmp_path / "runs", seed=[0, 1])
    page = client_of(make_site(study.runs_dir))
    text = page.get("/studies/standard/pivot?measure=train_seconds&down=method&across=seed").text
    assert text.count("1 min 38 s") == 2
    assert text.count("2 min 12 s") == 2
    mean = page.get("/studies/standard/pivot?measure=train_seconds&down=method&across=backend").text
    assert "mean of 2" in mean


def test_the_report_is_shown_in_a_sandbox(standard, page):
    folder = standard.runs_dir / "studies" / "standard" / "report"
    assert page.get("/studies/standard/report").status_code == 404
    folder.mkdir(exist_ok=True)
    (folder / "report.html").write_text("<p>all</p>", encoding="utf-8")
    answer = page.get("/studies/standard/report")
    assert answer.text == "<p>all</p>"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_whether_it_fits_is_answered_at_once(page):
    small = page.get("/fit?model=Qwen/Qwen2.5-0.5B&gpu=rtx4090-24gb&part=true").text
    assert "It fits" in small
    large = page.get("/fit?model=Qwen/Qwen2.5-7B&gpu=rtx3060-12gb&method=full&part=true").text
    assert "It does not fit" in large
    helped = page.get("/fit/changes?model=Qwen/Qwen2.5-1.5B&gpu=rtx4060-8gb-laptop").text
    assert "What makes it fit" in helped
    assert "train.batch_size=4" in helped
    wrong = page.get("/fit?batch_size=many&part=true").text
    assert "train.batch_size" in wrong
    assert page.get("/fit/parts.json?model=Qwen/Qwen2.5-0.5B").status_code == 200
