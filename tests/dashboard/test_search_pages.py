"""A search has a page of its own, of the sections of its report."""

from tests.dashboard.conftest import client_of, make_site
from tests.dashboard.planned import HOSTILE, planned_study

from bakeoff.base.files import write_json_atomic
from bakeoff.schema.recipe_search import Dimension
from bakeoff.schema.search import Saving, SearchResult, Trial


def _result():
    trials = tuple(
        Trial(
            number=number,
            values={"train.learning_rate": rate},
            status="finished",
            objectives={"validation_loss": 1.5 - 0.1 * number},
            run_ids=(f"r{number}",),
            num_steps=10,
            steps_done=10,
            step_seconds=0.1,
            seconds=1.0,
        )
        for number, rate in enumerate((1e-4, 2e-4, 4e-4))
    )
    return SearchResult(
        study="standard",
        objective=("validation_loss",),
        method="tpe",
        pruning="none",
        space={"train.learning_rate": Dimension(low=1e-5, high=1e-2, log=True)},
        trials=trials,
        front=(2,),
        sentence=f"Trial 2 was the best. {HOSTILE}",
        saving=Saving(num_pruned=0, steps_left_out=0, steps_of_all=30, seconds_left_out=None),
        spent={"runs": 3, "hours": 0.1, "tokens": 1000, "cost": None},
        ended_because="all trials were done",
    )


def test_a_search_is_shown_beside_its_study(tmp_path):
    study = planned_study(tmp_path / "runs", num_items=20)
    page = client_of(make_site(study.runs_dir), language="zh")
    assert page.get("/studies/standard/search").status_code == 404
    folder = study.runs_dir / "studies" / "standard"
    write_json_atomic(folder / "search.json", _result().model_dump(mode="json"))
    assert 'href="/studies/standard/search"' in page.get("/studies/standard").text
    text = page.get("/studies/standard/search").text
    assert "超参数搜索" in text
    assert "逐次试验" in text
    assert "<svg" in text
    assert "Trial 2 was the best." in text
    assert "<script>alert" not in text
    assert page.get("/studies/standard/transfer").status_code == 404
