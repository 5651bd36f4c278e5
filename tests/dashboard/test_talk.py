"""Talking on the page: what is asked and told, who may, and what is refused."""

import json
import shutil

import pytest
from tests.dashboard.conftest import client_of, make_site
from tests.dashboard.planned import HOSTILE
from tests.trained import make_saying, trained_study, write_test_split

from bakeoff.dashboard.access import CSRF_HEADER
from bakeoff.dashboard.words import Words

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
SINGLE = {
    "prompt": "2 + 2?", "response": "4",
    "messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}],
}  # fmt: skip
WITH_SYSTEM = {**SINGLE, "messages": [{"role": "system", "content": "x"}, *SINGLE["messages"]]}


@pytest.fixture(scope="module")
def talked(tmp_path_factory, tiny_model):
    """A store with a training that left an adapter over a model that says hostile things."""
    folder = tmp_path_factory.mktemp("talk")
    model_dir = make_saying(tiny_model, folder / "model", HOSTILE)
    store, run_id = trained_study(folder / "runs", model_dir)
    write_test_split(store, folder / "cache", [WITH_SYSTEM, SINGLE])
    return store, run_id


def _lines(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_both_models_answer_in_the_words_of_the_page(talked):
    store, run_id = talked
    site = make_site(store.runs_dir)
    address, asked = f"/runs/{run_id}/talk/ask", {"question": "2 + 2?", "max_new_tokens": 5}
    told = _lines(client_of(site).post(address, data=asked))
    assert told[0]["number"] == 1
    assert "Loading" in told[0]["state"]
    said = "".join(one["more"] for one in told if one.get("side") == "base" and "more" in one)
    assert said == HOSTILE
    ends = {one["side"]: one for one in told if "reason" in one}
    assert (ends["base"]["reason"], ends["base"]["num_tokens"]) == ("end_token", 2)
    assert ends.keys() == {"base", "tuned"}
    # The second question finds the process there, and ends at the limit.
    told = _lines(client_of(site, language="zh").post(address, data={**asked, "max_new_tokens": 1}))
    assert told[0] == {"number": 2, "state": "正在读题……"}
    assert [one["reason"] for one in told if "reason" in one] == ["limit", "limit"]
    site.talks.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_trained_model_and_its_evaluations_lead_to_the_page(talked, language):
    store, run_id = talked
    page = client_of(make_site(store.runs_dir), language=language)
    evaluation = next(r.run_id for r in store.records() if r.parent_run_id == run_id)
    for run in (run_id, evaluation):
        assert f'href="/runs/{run}/talk"' in page.get(f"/runs/{run}").text
        text = page.get(f"/runs/{run}/talk").text
        assert f'data-ask="/runs/{run_id}/talk/ask"' in text
        assert ("取一道测试集的题" if language == "zh" else "A question of the test split") in text
        assert 'id="goes-on"' not in text  # plain text: no conversations


def test_examples_are_single_questions_of_the_test_split(talked):
    store, run_id = talked
    page = client_of(make_site(store.runs_dir))
    found = page.get(f"/runs/{run_id}/talk/example.json").json()
    assert found == {"question": "2 + 2?", "expected": "4", "next": 2}
    assert page.get(f"/runs/{run_id}/talk/example.json?number=2").json()["question"] == "2 + 2?"


def test_what_left_no_model_has_no_such_page(standard):
    page = client_of(make_site(standard.runs_dir), language="zh")
    run_id = next(r.run_id for r in standard.records if r.kind == "train")
    assert "/talk" not in page.get(f"/runs/{run_id}").text
    answer = page.get(f"/runs/{run_id}/talk")
    assert answer.status_code == 400
    assert "得到的模型已不在" in answer.text
    told = _lines(page.post(f"/runs/{run_id}/talk/ask", data={"question": "?"}))
    assert "得到的模型已不在" in told[0]["error"]
    assert page.get("/runs/none/talk").status_code == 404


def test_a_model_that_is_gone_is_told_with_what_brings_it_again(tmp_path, tiny_model):
    model_dir = shutil.copytree(tiny_model, tmp_path / "model")
    store, run_id = trained_study(tmp_path / "runs", model_dir)
    shutil.rmtree(model_dir)
    answer = client_of(make_site(store.runs_dir)).get(f"/runs/{run_id}/talk")
    assert answer.status_code == 400
    assert "bakeoff model fetch" in answer.text


def test_what_the_worker_refuses_is_said_in_chinese():
    zh = Words("zh")
    for text in (
        "The models need about 6.2 GiB, and 1.0 GiB are free on the GPU: end other programs, or "
        "talk with one of them by `bakeoff chat`.",
        "The models need about 6.2 GiB, and 1.0 GiB are free in memory: end other programs, or "
        "talk with one of them by `bakeoff chat`.",
        "The question has 2,402 tokens, the model reads at most 512: ask in fewer words.",
        "the process that holds the models ended",
    ):
        said = zh.core(text)
        assert said != text
        assert not said.isascii()
    assert "2,402" in zh.core("The question has 2,402 tokens, the model reads at most 512: ask in "
                              "fewer words.")  # fmt: skip


def test_nothing_is_asked_for_others_nor_read_only(talked):
    store, run_id = talked
    address, asked = f"/runs/{run_id}/talk/ask", {"question": "?"}
    site = make_site(store.runs_dir)
    assert client_of(site).post(address, data=asked, headers={CSRF_HEADER: ""}).status_code == 403
    foreign = {"origin": "http://evil.example"}
    assert client_of(site).post(address, data=asked, headers=foreign).status_code == 403
    page = client_of(make_site(store.runs_dir, read_only=True))
    assert page.post(address, data=asked).status_code == 403
    assert page.get(f"/runs/{run_id}/talk").status_code == 404
    assert "/talk" not in page.get(f"/runs/{run_id}").text
    assert site.talks._now is None


@pytest.mark.parametrize(
    "wrong", [{"question": ""}, {"question": "x" * 20_001}, {"max_new_tokens": 0},
              {"temperature": -1}, {"max_new_tokens": 10**6}],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(talked, wrong):
    store, run_id = talked
    site = make_site(store.runs_dir)
    asked = {"question": "?", **wrong}
    assert client_of(site).post(f"/runs/{run_id}/talk/ask", data=asked).status_code == 422
    assert site.talks._now is None
