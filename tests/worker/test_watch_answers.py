"""A few questions asked while a training goes on."""

import pytest
from tests.worker.training import job, losses, read_events, write_data

from bakeoff.worker import train
from bakeoff.worker.watch_answers import same_answer


@pytest.mark.parametrize(
    ("text", "target", "is_same"),
    [
        (" 3 + 4 = 7\n#### 7", "3 + 4 = 7\n#### 7", True),
        (" It is 1,000.", "so\n#### 1000", True),
        (" It is 8.", "7 apples\n#### 7", False),
        ("nothing", "#### 7", False),
        ("The  Sea", "the sea", True),
        ("the lake", "the sea", False),
    ],
)
def test_an_answer_counts_by_its_last_number_or_as_a_whole(text, target, is_same):
    assert same_answer(text, target) is is_same


@pytest.fixture(scope="module")
def known_rows(tmp_path_factory):
    """Validation rows that are training rows: what is learned shows in the answers."""
    folder = write_data(tmp_path_factory.mktemp("known"), num_train=8, num_validation=2)
    text = (folder / "train.jsonl").read_text(encoding="utf-8")
    (folder / "validation.jsonl").write_text(text, encoding="utf-8")
    return folder


def _train(folder, raw):
    folder.mkdir()
    train.main(raw, folder)
    return losses(folder)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize(("method", "least"), [("lora", 0), ("full", 4)])
def test_questions_are_asked_on_the_way_and_change_nothing_that_is_learned(
    method, least, tiny_model, known_rows, tmp_path
):
    raw = job(tiny_model, known_rows, method=method, num_epochs=120, batch_size=8, save_every=0)
    asked = {**raw, "watch": {"every": 80, "num_questions": 6, "max_new_tokens": 32}}
    plain = _train(tmp_path / "plain", raw)
    watched = tmp_path / "watched"
    assert _train(watched, asked) == plain
    told = read_events(watched, "answers")
    assert [event["step"] for event in told] == [0, 80, 120]
    assert {event["num_questions"] for event in told} == {6}
    assert told[0]["num_right"] == 0
    assert told[-1]["num_right"] >= least
    assert told[-1]["num_ended"] >= least
    phases = [event["phase"] for event in read_events(watched, "phase")]
    assert phases.count("evaluate") == 3
    after = phases[len(phases) - phases[::-1].index("evaluate") - 1 :]
    assert after == ["evaluate", "save"]
    assert not read_events(watched, "warning")
