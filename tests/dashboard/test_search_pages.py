"""A search has a page of its own, of the sections of its report."""

from tests.dashboard.conftest import client_of, make_site
from tests.dashboard.planned import HOSTILE, planned_study
from tests.dashboard.searched import search_result

from bakeoff.base.files import write_json_atomic


def test_a_search_is_shown_beside_its_study(tmp_path):
    study = planned_study(tmp_path / "runs", num_items=20)
    page = client_of(make_site(study.runs_dir), language="zh")
    assert page.get("/studies/standard/search").status_code == 404
    folder = study.runs_dir / "studies" / "standard"
    result = search_result().model_copy(update={"sentence": f"Trial 2 was the best. {HOSTILE}"})
    write_json_atomic(folder / "search.json", result.model_dump(mode="json"))
    assert 'href="/studies/standard/search"' in page.get("/studies/standard").text
    text = page.get("/studies/standard/search").text
    assert "超参数搜索" in text
    assert "逐次试验" in text
    assert 'data-spec="/studies/standard/search/figures/history.json"' in text
    spec = page.get("/studies/standard/search/figures/history.json").text
    assert "提前结束" in spec
    assert "ended early" not in spec
    assert page.get("/studies/standard/search/figures/none.json").status_code == 204
    assert "Trial 2 was the best." in text
    assert "<script>alert" not in text
    assert page.get("/studies/standard/transfer").status_code == 404
