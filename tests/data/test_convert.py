"""Datasets written in other formats, with what the frameworks need beside them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.test_formats import samples

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.data.convert import convert
from bakeoff.data.convert_survey import Target
from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.sources import Surroundings
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout

FORMATS = ROW_FORMATS.names()
SIMPLE = [
    {"question": "小明有几个苹果？👩‍👧", "answer": "#### 3"},
    {"question": "a\u2028b\x01?", "answer": " 2 \n"},
]


@pytest.fixture
def convert_to(tmp_path):
    """Convert below ``tmp_path``; gives what was done and the rows of the first split."""

    def run(source, folder, format_name, *, splits=(), spec=None, **target):
        surroundings = Surroundings(tmp_path, tmp_path / "cache", HubAccess(), lambda *_: None)
        done = convert(
            DataSpec(source=source, **(spec or {})),
            Target(folder=tmp_path / folder, format=format_name, name="mine", **target),
            surroundings,
            splits=splits,
        )
        return done, lines(done.files[0])

    return run


def lines(path):
    text = path.read_bytes().decode("utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def as_messages(sample):
    row = ROW_FORMATS.get("messages").write(
        sample, Layout(), with_optional=ROW_FORMATS.get("messages").optional(sample)
    )
    return {**row, "tools": sample.tools}


@pytest.mark.parametrize("framework", [None, "llamafactory", "swift"])
@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
def test_there_and_back_again_loses_nothing_or_is_refused(convert_to, write, name, framework, data):
    whole = [
        as_messages(sample) for sample in data.draw(st.lists(samples(), min_size=1, max_size=3))
    ]
    write("in/train.jsonl", whole)
    spec = {"format": "messages"}
    try:
        convert_to("in", "out", name, framework=framework, overwrite=True, spec=spec)
    except UserError as error:
        assert "has no place" in str(error)  # noqa: PT017 - either this or the way back
        return
    source = "out/dataset_info.json:mine" if framework == "llamafactory" else "out"
    if framework == "llamafactory" and name == "text":
        source = "out"  # continued pre-training there: no answer, so not read as one
    _, back = convert_to(source, "back", "messages", overwrite=True)
    first = [{**row, "tools": row.get("tools", "")} for row in back]
    assert first == whole


def test_text_is_written_as_utf_8_with_every_character_itself(convert_to, write, tmp_path):
    write("in/train.json", json.dumps(SIMPLE))
    convert_to("in", "out", "alpaca")
    raw = (tmp_path / "out/train.jsonl").read_bytes()
    assert "小明有几个苹果？👩‍👧".encode() in raw
    assert b"\r" not in raw
    assert raw.startswith(b'{"instruction"')


def test_all_splits_that_are_there_are_written_or_those_that_are_named(convert_to, write):
    for split in ("train", "test", "dev"):
        write(f"in/{split}.jsonl", SIMPLE)
    done, _ = convert_to("in", "out", "sharegpt")
    assert done.num_rows == {"train": 2, "validation": 2, "test": 2}
    done, _ = convert_to("in", "dev", "sharegpt", splits=("dev",))
    assert done.num_rows == {"dev": 2}
    with pytest.raises(UserError, match="no file holds the split `other`"):
        convert_to("in", "other", "sharegpt", splits=("other",))


LISTS = {
    "alpaca": {"formatting": "alpaca", "columns": {"prompt": "instruction", "query": "input",
                                                   "response": "output"}},
    "prompt-response": {"formatting": "alpaca", "columns": {"prompt": "question",
                                                            "response": "answer"}},
    "messages": {
        "formatting": "sharegpt", "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user",
                 "assistant_tag": "assistant", "observation_tag": "tool",
                 "function_tag": "tool_call", "system_tag": "system"}},
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_the_list_of_llamafactory_names_every_column_and_tag(convert_to, write, tmp_path, name):
    write("in/train.jsonl", SIMPLE)
    write("in/test.jsonl", SIMPLE)
    convert_to("in", "out", name, framework="llamafactory")
    listed = json.loads((tmp_path / "out/dataset_info.json").read_text(encoding="utf-8"))
    assert listed == {
        "mine_train": {"file_name": "train.jsonl", **LISTS[name]},
        "mine_test": {"file_name": "test.jsonl", **LISTS[name]},
    }


def test_system_and_history_are_named_only_where_rows_have_them(convert_to, write, tmp_path):
    rows = [
        {"instruction": "1?", "input": "", "output": "1"},
        {"instruction": "2?", "input": "", "output": "2", "system": "S", "history": [["a", "A"]]},
    ]
    write("in/train.jsonl", rows)
    _, written = convert_to("in", "out", "alpaca", framework="llamafactory")
    entry = json.loads((tmp_path / "out/dataset_info.json").read_text(encoding="utf-8"))["mine"]
    assert entry["columns"]["system"] == "system"
    assert entry["columns"]["history"] == "history"
    assert [(row["system"], row["history"]) for row in written] == [("", []), ("S", [["a", "A"]])]


def test_an_existing_list_is_added_to_and_its_entries_are_kept(convert_to, write, tmp_path):
    write("in/train.jsonl", SIMPLE)
    write("out/dataset_info.json", json.dumps({"old": {"file_name": "old.json"}}))
    convert_to("in", "out", "alpaca", framework="llamafactory")
    listed = json.loads((tmp_path / "out/dataset_info.json").read_text(encoding="utf-8"))
    assert list(listed) == ["old", "mine"]
    (tmp_path / "out/train.jsonl").unlink()
    with pytest.raises(UserError, match="has an entry `mine` already"):
        convert_to("in", "out", "alpaca", framework="llamafactory")


def test_own_columns_are_written_and_told_to_swift(convert_to, write, tmp_path):
    from ruamel.yaml import YAML

    write("in/train.jsonl", SIMPLE)
    layout = Layout(columns={"prompt": "问", "response": "答"})
    _, rows = convert_to("in", "out", "prompt-response", framework="swift", layout=layout)
    assert rows[0] == {"问": SIMPLE[0]["question"], "答": "#### 3"}
    arguments = YAML(typ="safe").load((tmp_path / "out/swift.yaml").read_text(encoding="utf-8"))
    assert arguments["dataset"] == [(tmp_path / "out/train.jsonl").resolve().as_posix()]
    assert json.loads(arguments["columns"]) == {"问": "query", "答": "response"}


def turns(*pairs, loss=True):
    row = [{"role": role, "content": content} for role, content in pairs]
    row[1]["loss"] = loss
    return {"messages": row}


UNHELD = {
    "a turn not learned, in alpaca": ("alpaca", None, "not learned"),
    "a turn not learned, for LLaMA-Factory": (
        "messages",
        "llamafactory",
        "LLaMA-Factory learns all",
    ),
    "several turns, in prompt-response": ("prompt-response", None, "several turns"),
    "a question, in text": ("text", None, "a question beside its answer"),
}


@pytest.mark.parametrize("kind", UNHELD)
def test_what_has_no_place_is_refused_with_its_row_and_nothing_is_written(
    convert_to, write, tmp_path, kind
):
    name, framework, reason = UNHELD[kind]
    bad = turns(("user", "a"), ("assistant", "A"), ("user", "b"), ("assistant", "B"), loss=False)
    path = write("in/train.jsonl", [turns(("user", "a"), ("assistant", "A")), bad][::-1])
    with pytest.raises(UserError) as raised:
        convert_to("in", "out", name, framework=framework)
    assert f"{path}, line 1: the row has" in str(raised.value)
    assert reason in str(raised.value)
    assert "--allow-loss" in raised.value.hint
    assert not (tmp_path / "out").exists()


def test_what_is_lost_with_leave_is_counted(convert_to, write):
    bad = turns(("user", "a"), ("assistant", "A"), ("user", "b"), ("assistant", "B"))
    write("in/train.jsonl", [bad, turns(("user", "c"), ("assistant", "C")), bad])
    done, rows = convert_to("in", "out", "prompt-response", allow_loss=True)
    assert done.lost == {"several turns": 2}
    assert [row["question"] for row in rows] == ["b", "c", "b"]
    done, rows = convert_to("in", "text", "text", allow_loss=True)
    assert (done.num_rows, rows) == ({"train": 0}, [])
    assert done.lost == {"a question beside its answer": 3}


def test_columns_that_are_not_carried_over_are_named(convert_to, write):
    write("in/train.jsonl", [{**SIMPLE[0], "id": 1, "来源": "x"}])
    done, _ = convert_to("in", "out", "alpaca")
    assert done.unread_columns == ("id", "来源")


def test_files_are_left_alone_unless_that_is_asked(convert_to, write, tmp_path):
    write("in/train.jsonl", SIMPLE)
    write("out/train.jsonl", "mine\n")
    write("out/notes.txt", "keep")
    with pytest.raises(UserError, match=r"has `train\.jsonl` already") as raised:
        convert_to("in", "out", "alpaca")
    assert "--force" in raised.value.hint
    convert_to("in", "out", "alpaca", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "notes.txt",
        "train.jsonl",
    ]


def test_a_bad_row_anywhere_leaves_what_was_there(convert_to, write, tmp_path):
    write("in/train.jsonl", SIMPLE)
    write("in/test.jsonl", [*SIMPLE, {"question": "", "answer": "1"}])
    write("out/train.jsonl", "mine\n")
    with pytest.raises(UserError, match=r"test\.jsonl, line 3: `question` is empty"):
        convert_to("in", "out", "alpaca", overwrite=True)
    assert (tmp_path / "out/train.jsonl").read_text() == "mine\n"


def test_a_file_can_be_converted_in_its_own_place(convert_to, write):
    write("in/train.jsonl", SIMPLE)
    _, rows = convert_to("in", "in", "messages", overwrite=True)
    assert [row["messages"][0]["content"] for row in rows] == [row["question"] for row in SIMPLE]


@pytest.mark.parametrize("name", ["alpaca", "prompt-response", "query-response"])
def test_swift_is_not_given_an_empty_system_message_where_there_was_none(
    convert_to, write, tmp_path, name
):
    rows = [
        {"messages": [{"role": role, "content": role} for role in roles]}
        for roles in (("system", "user", "assistant"), ("user", "assistant"))
    ]
    write("in/train.jsonl", rows)
    with pytest.raises(UserError, match=r"line 2: the row has no system message while others"):
        convert_to("in", "out", name, framework="swift")
    assert not (tmp_path / "out").exists()
    done, _ = convert_to("in", "out", name, framework="swift", allow_loss=True)
    assert list(done.lost.values()) == [1]
    for target in ({"framework": "llamafactory"}, {}):
        assert convert_to("in", f"out{len(target)}", name, **target)[0].lost == {}
    write("in/train.jsonl", rows[:1])
    assert convert_to("in", "all", name, framework="swift")[0].lost == {}


def test_llamafactorys_list_is_plain_ascii_for_it_is_not_read_as_utf_8(convert_to, write, tmp_path):
    write("in/train.jsonl", SIMPLE)
    layout = Layout(columns={"prompt": "问题", "response": "答案"})
    convert_to("in", "out", "prompt-response", framework="llamafactory", layout=layout)
    listed = (tmp_path / "out/dataset_info.json").read_bytes()
    assert listed.isascii()
    assert json.loads(listed)["mine"]["columns"]["prompt"] == "问题"
