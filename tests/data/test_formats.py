"""Row formats: what each reads and writes, one conformance suite over the registry."""

# ruff: noqa: E501 - Chinese punctuation is tested, and rows in tables stay on a line

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bakeoff.base.errors import UserError
from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.formats.reading import RowReader, make_layout
from bakeoff.schema.recipe_subject import Columns, Tags
from bakeoff.schema.sample import Layout, Message, Sample

FORMATS = ROW_FORMATS.names()

texts = st.text(min_size=1).filter(lambda text: text.strip()) | st.sampled_from(
    [
        "小明有几个苹果？",
        "👩‍👩‍👧 42 \u200d",
        "a\x00b\x1f\x7f\u2028c",
        "  两边有空格 \n",
        "{{x}}\\n\"'",
    ]
)


@st.composite
def samples(draw):
    """Any conversation of the canonical form; half of them plain questions with answers."""
    kind = draw(st.sampled_from(["text", "plain", "plain", "turns", "tools"]))
    if kind == "text":
        return Sample((Message("assistant", draw(texts), True),))
    system = draw(st.lists(texts if kind == "plain" else st.just("") | texts, max_size=1))
    messages = [Message("system", text, False) for text in system]
    for number in range(1 if kind == "plain" else draw(st.integers(1, 3))):
        asker = "tool" if kind == "tools" and number else "user"
        speaker = "tool_call" if kind == "tools" and not number else "assistant"
        messages.append(Message(asker, draw(texts), False))
        messages.append(Message(speaker, draw(texts), kind == "plain" or draw(st.booleans())))
    if not any(message.loss for message in messages):
        messages[-1] = messages[-1]._replace(loss=True)
    return Sample(tuple(messages), draw(texts) if kind == "tools" else "")


RELAXED = settings(
    suppress_health_check=[HealthCheck.filter_too_much], deadline=None, max_examples=60
)

LAYOUTS = {
    "usual names": Layout(),
    "own names": Layout(
        columns={"prompt": "问", "query": "续", "response": "答", "system": "设定", "history": "前",
                 "messages": "对话", "tools": "工具", "text": "文"},
        tags={"role": "谁", "content": "说", "user": "客", "assistant": "我", "system": "设",
              "observation": "果", "function": "用"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", FORMATS)
@RELAXED
@given(sample=samples())
def test_what_is_written_reads_back_to_the_last_character(name, layout, sample):
    row_format = ROW_FORMATS.get(name)
    assume(row_format.unheld(sample) is None)
    row = row_format.write(sample, layout, with_optional=row_format.optional(sample))
    read = json.loads(json.dumps(row, ensure_ascii=False))
    assert row_format.read(read, layout, where="x") == sample


@pytest.mark.parametrize("name", FORMATS)
@RELAXED
@given(sample=samples())
def test_what_a_format_does_not_hold_is_said_and_nothing_else(name, sample):
    """Writing a sample that ``unheld`` complains of loses something; no other does."""
    row_format = ROW_FORMATS.get(name)
    complaint = row_format.unheld(sample)
    try:
        row = row_format.write(sample, Layout(), with_optional=row_format.optional(sample))
        same = row_format.read(row, Layout(), where="x") == sample
    except (UserError, ValueError):
        same = False
    assert same == (complaint is None)


@pytest.mark.parametrize("name", FORMATS)
@RELAXED
@given(sample=samples())
def test_a_written_row_is_recognised_by_itself(name, sample):
    row_format = ROW_FORMATS.get(name)
    assume(row_format.unheld(sample) is None)
    row = row_format.write(sample, Layout(), with_optional=row_format.optional(sample))
    assert RowReader(Layout()).sample(row, where="x") == sample


def said(*turns):
    return Sample(tuple(Message(*turn) for turn in turns))


PLAIN = said(("user", "1+1?", False), ("assistant", "2", True))
WITH_SYSTEM = said(("system", "S", False), *PLAIN.messages)

READS = {
    "alpaca without input": ({"instruction": "1+1?", "output": "2"}, PLAIN),
    "alpaca with input": ({"instruction": "译", "input": "苹果", "output": "apple"},
                          said(("user", "译\n苹果", False), ("assistant", "apple", True))),
    "alpaca with nulls": ({"instruction": "1+1?", "input": None, "output": 2, "system": "",
                           "history": None}, PLAIN),
    "alpaca with history": ({"instruction": "b", "input": "", "output": "B", "system": "S",
                             "history": [["a", "A"]]},
                            said(("system", "S", False), ("user", "a", False), ("assistant", "A", True),
                                 ("user", "b", False), ("assistant", "B", True))),
    "alpaca's other text": ({"instruction": "1+1?", "input": "", "output": "2", "text": "all"}, PLAIN),
    "sharegpt": ({"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]},
                 PLAIN),
    "sharegpt, system beside": ({"conversations": [{"from": "human", "value": "1+1?"},
                                                   {"from": "gpt", "value": "2"}], "system": "S"},
                                WITH_SYSTEM),
    "sharegpt with OpenAI's speakers": ({"conversations": [{"from": "user", "value": "1+1?"},
                                                           {"from": "assistant", "value": "2"}]}, PLAIN),
    "messages": ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "1+1?"},
                               {"role": "assistant", "content": "2"}], "prompt": "1+1?"}, WITH_SYSTEM),
    "messages under sharegpt's name": ({"conversations": [{"role": "user", "content": "1+1?"},
                                                          {"role": "assistant", "content": "2"}]}, PLAIN),
    "OpenAI's weight": ({"messages": [{"role": "user", "content": "a"},
                                      {"role": "assistant", "content": "A", "weight": 0},
                                      {"role": "user", "content": "b"},
                                      {"role": "assistant", "content": "B", "weight": 1}]},
                        said(("user", "a", False), ("assistant", "A", False), ("user", "b", False),
                             ("assistant", "B", True))),
    "ms-swift's loss": ({"messages": [{"role": "user", "content": "a"},
                                      {"role": "assistant", "content": "A", "loss": 1.0}]},
                        said(("user", "a", False), ("assistant", "A", True))),
    "question and answer": ({"question": "1+1?", "answer": 2, "id": 7}, PLAIN),
    "prompt and completion": ({"prompt": "1+1?", "completion": "2", "text": "x"}, PLAIN),
    "problem and solution": ({"problem": "1+1?", "solution": "2"}, PLAIN),
    "text": ({"text": "从前"}, said(("assistant", "从前", True))),
}  # fmt: skip


@pytest.mark.parametrize("kind", READS)
def test_the_format_is_seen_from_the_row(kind):
    row, sample = READS[kind]
    assert RowReader(Layout()).sample(row, where="x") == sample


def test_naming_the_instruction_does_not_lose_the_input_beside_it():
    layout = make_layout("auto", Columns(prompt="instruction", response="output"), Tags())
    row = {"instruction": "译", "input": "苹果", "output": "apple"}
    assert RowReader(layout).sample(row, where="x").messages[0].content == "译\n苹果"


def turns(*pairs, **extra):
    return {"messages": [{"role": role, "content": content, **extra} for role, content in pairs]}


USER, ASSISTANT = ("user", "1?"), ("assistant", "1")

BAD_ROWS = {
    "two questions": (turns(USER, USER, ASSISTANT), "two turns of the user in a row",
                      "take turns"),
    "answer first": (turns(ASSISTANT, USER), "`messages[0]` is said by the assistant", "first"),
    "late system": (turns(USER, ("system", "S"), ASSISTANT), "`messages[1]` is a system message", "one"),
    "no answer": (turns(USER), "ends with the user, without an answer", "one question and its answer"),
    "system alone": (turns(("system", "S")), "without an answer", "one question"),
    "no turns": ({"messages": []}, "`messages` is empty", "one question"),
    "no list": ({"messages": "hi"}, "no column `question`", "data.columns.prompt"),
    "turn no object": ({"messages": [["user", "x"]]}, "`messages[0]` must be an object, got a list",
                       '{"role": "...", "content": "..."}'),
    "empty turn": (turns(USER, ("assistant", " ")), "`messages[1].content` is empty", "fill it in"),
    "null turn": (turns(USER, ("assistant", None)), "`messages[1].content` must be text, got null", "row"),
    "unknown speaker": (turns(("customer", "x"), ASSISTANT), "`messages[0].role` must be one of `user`",
                        "`data.tags.user: customer`"),
    "no content": ({"messages": [{"role": "user", "text": "x"}]}, "`messages[0]` has no `content`; it has "
                   "`role`, `text`", "data.tags.content"),
    "loss elsewhere": (turns(USER, ASSISTANT, loss=True), "`messages[0].loss` is true for a turn of `user`",
                       "only what the assistant says"),
    "odd loss": (turns(USER, ASSISTANT, loss="yes"), '`messages[0].loss` must be true or false, got text',
                 "learned"),
    "nothing learned": (turns(USER, ASSISTANT, loss=False), "no turn to learn", "set it true"),
    "tool_calls": ({"messages": [{"role": "user", "content": "x"},
                                 {"role": "assistant", "content": None, "tool_calls": [{}]}]},
                   "`messages[1].tool_calls` is not read", "a turn of its own"),
    "empty alpaca": ({"instruction": "", "input": " ", "output": "x"}, "`instruction` and `input` are empty",
                     "fill one in"),
    "alpaca without output": ({"instruction": "x", "input": "", "output": None},
                              "`output` must be text, got null", "correct the row"),
    "history of texts": ({"instruction": "x", "output": "y", "history": ["a"]},
                         "`history[0]` must be [question, answer], got text", "a list of two texts"),
    "history no list": ({"instruction": "x", "output": "y", "history": "a"},
                        "`history` must be a list of [question, answer]", "such as"),
    "half a turn in history": ({"instruction": "x", "output": "y", "history": [["a", ""]]},
                               "`history[0][1]` is empty", "fill it in"),
    "half an emoji": ({"text": "\ud83d"}, "`text` holds half a character", "emoji"),
    "odd system": ({"question": "x", "answer": "y", "system": 1}, "`system` must be text, got a number", "row"),
    "no column alike": ({"title": "x", "body": "y"}, "no column `question`; the columns there are `title`, "
                        "`body`", "data.columns.prompt"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_named_with_its_key_and_what_came(kind):
    row, cause, hint = BAD_ROWS[kind]
    with pytest.raises(UserError) as raised:
        RowReader(Layout()).sample(row, where="f.jsonl, line 3")
    assert str(raised.value).startswith("f.jsonl, line 3: ")
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_a_row_of_another_format_than_the_first_is_refused():
    reader = RowReader(Layout())
    reader.sample({"instruction": "1+1?", "output": "2"}, where="x, line 1")
    with pytest.raises(UserError, match="x, line 2: there is no column `instruction`"):
        reader.sample({"text": "hello"}, where="x, line 2")


# What the trainer is given


def test_the_seeds_two_chinese_alpaca_samples_are_read_as_they_are(prepare, write):
    rows = [
        {"instruction": "将下面的句子翻译成英文", "input": "今天天气很好。", "output": "The weather is nice today."},
        {"instruction": "写一句鼓励的话", "input": "", "output": "坚持就是胜利！"},
    ]  # fmt: skip
    write("train.json", json.dumps(rows, ensure_ascii=False, indent=2))
    write("test.jsonl", [{"instruction": "一加一？", "input": "", "output": "二"}])
    _, prepared = prepare("train.json", test="test.jsonl")
    first = next(row for row in prepared["train"] if row["id"] == "train-1")
    assert first == {
        "id": "train-1",
        "context": "",
        "asked": "Question: 将下面的句子翻译成英文\n今天天气很好。\nAnswer:",
        "prompt": "将下面的句子翻译成英文\n今天天气很好。",
        "response": "The weather is nice today.",
        "messages": [
            {"role": "user", "content": "将下面的句子翻译成英文\n今天天气很好。", "loss": False},
            {"role": "assistant", "content": "The weather is nice today.", "loss": True},
        ],
        "segments": [
            {"text": "Question: 将下面的句子翻译成英文\n今天天气很好。\nAnswer:", "loss": False},
            {"text": " The weather is nice today.", "loss": True},
        ],
    }


def test_several_turns_are_joined_by_the_template_and_learned_as_their_loss_says(prepare, write):
    row = turns(("system", "Be brief."), ("user", "a"), ("assistant", "A"), *[USER, ASSISTANT])
    row["messages"][2]["loss"] = False
    write("rows/train.jsonl", [row])
    write("rows/test.jsonl", [turns(("system", "S"), ("user", "c"), ("assistant", "C"))])
    _, rows = prepare()
    (trained,), (asked,) = rows["train"], rows["test"]
    assert trained["segments"] == [
        {"text": "Be brief.\n\nQuestion: a\nAnswer: A\n\nQuestion: 1?\nAnswer:", "loss": False},
        {"text": " 1", "loss": True},
    ]
    assert trained["context"] == "Be brief.\n\nQuestion: a\nAnswer: A\n\n"
    assert (trained["prompt"], trained["response"]) == ("1?", "1")
    assert [turn["loss"] for turn in trained["messages"]] == [False, False, False, False, True]
    assert asked["context"] + "Question: c\nAnswer:" == asked["segments"][0]["text"]


def test_plain_text_is_learned_whole_and_cannot_be_scored(prepare, write):
    write("rows/train.txt", "床前明月光\n\n  疑是地上霜 \n")
    write("rows/test.jsonl", [{"question": "1?", "answer": "1"}])
    _, rows = prepare()
    assert {row["id"]: row["segments"] for row in rows["train"]} == {
        "train-1": [{"text": "床前明月光", "loss": True}],
        "train-3": [{"text": "  疑是地上霜 ", "loss": True}],
    }
    write("rows/test.jsonl", [{"text": "x"}])
    with pytest.raises(UserError, match=r"test\.jsonl, line 1: plain text has no question"):
        prepare()


def test_rows_that_call_tools_are_refused_by_name(prepare, write):
    called = turns(USER, ("tool_call", "{}"), ("tool", "3"), ASSISTANT)
    write("rows/train.jsonl", [called])
    write("rows/test.jsonl", [turns(USER, ASSISTANT)])
    with pytest.raises(UserError, match="line 1: the row calls tools") as raised:
        prepare()
    assert "bakeoff data convert" in raised.value.hint


def test_the_same_question_in_another_format_is_an_overlap(prepare, write):
    write("rows/train.jsonl", [{"instruction": "one plus one?", "input": "", "output": "2"}])
    write("rows/test.jsonl", [turns(("user", "One plus ONE?"), ("assistant", "2"))])
    with pytest.raises(UserError, match="1 of 1 test questions"):
        prepare()


def test_tags_of_the_recipe_are_used(prepare, write):
    row = {"chat": [{"who": "客户", "said": "1?"}, {"who": "客服", "said": "1"}]}
    write("rows/train.jsonl", [row])
    write("rows/test.jsonl", [{**row, "chat": [{"who": "客户", "said": "2?"}, row["chat"][1]]}])
    _, rows = prepare(
        format="sharegpt",
        columns=Columns(messages="chat"),
        tags=Tags(role="who", content="said", user="客户", assistant="客服"),
    )
    assert rows["train"][0]["prompt"] == "1?"
