"""Data as other tools left it: arrow files, saved datasets, LLaMA-Factory's list, ms-swift's names."""

# ruff: noqa: E501 - rows in tables stay on a line

import bz2
import gzip
import json
import lzma

import pytest
from tests.data.made import qa

from bakeoff import data
from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.schema.recipe_subject import Columns, DataSpec

TRAIN = [qa("小明有几个苹果？", "#### 3"), qa("1 + 1?", "#### 2")]
TEST = [qa("How many legs has a spider?", "#### 8")]


def arrow(path, rows, *, stream=True, batch_rows=1):
    import pyarrow

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows)
    new = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with path.open("wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return path


def prompts(rows):
    return sorted(row["prompt"] for row in rows)


@pytest.mark.parametrize("stream", [True, False])
def test_the_arrow_files_of_the_datasets_cache_are_read(prepare, tmp_path, write, stream):
    arrow(tmp_path / "cache/gsm8k-train.arrow", TRAIN, stream=stream)
    arrow(tmp_path / "cache/gsm8k-test.arrow", TEST, stream=stream)
    write("cache/dataset_info.json", json.dumps({"builder_name": "gsm8k", "splits": {}}))
    _, rows = prepare("cache")
    assert prompts(rows["train"]) == ["1 + 1?", "小明有几个苹果？"]
    by_path, _ = prepare("cache/gsm8k-train.arrow", test="cache/gsm8k-test.arrow")
    assert by_path.num_rows == {"train": 2, "validation": 0, "test": 1}


def test_a_bad_row_of_an_arrow_file_is_named_by_its_number(prepare, tmp_path, write):
    path = arrow(tmp_path / "rows/train.arrow", [*TRAIN, qa(None)])
    write("rows/test.jsonl", TEST)
    with pytest.raises(UserError, match="row 3: `question` must be text, got null") as raised:
        prepare()
    assert str(raised.value).startswith(str(path))


def test_a_damaged_arrow_file_is_said(prepare, write):
    write("rows/train.arrow", b"question,answer\n1?,1\n")
    write("rows/test.jsonl", TEST)
    with pytest.raises(UserError, match=r"train\.arrow cannot be read as Arrow"):
        prepare()


@pytest.fixture
def saved(tmp_path):
    """What `datasets` itself writes."""
    datasets = pytest.importorskip("datasets")
    whole = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(TRAIN), "test": datasets.Dataset.from_list(TEST)}
    )
    whole.save_to_disk(str(tmp_path / "saved"), num_shards={"train": 2, "test": 1})
    return tmp_path / "saved"


@pytest.mark.filterwarnings("default")
def test_a_saved_dataset_dict_is_read_by_its_splits(prepare, saved):
    manifest, rows = prepare("saved")
    assert manifest.num_rows == {"train": 2, "validation": 0, "test": 1}
    assert prompts(rows["train"]) == ["1 + 1?", "小明有几个苹果？"]


@pytest.mark.filterwarnings("default")
def test_one_saved_dataset_is_one_split(prepare, saved, write):
    manifest, _ = prepare("saved/train", test="saved/test")
    assert manifest.num_rows == {"train": 2, "validation": 0, "test": 1}
    with pytest.raises(UserError, match=r"`data\.source` is one split, .*no split `test`"):
        prepare("saved/train")


def packed(kind, text):
    import pyarrow

    return {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": lambda raw: pyarrow.Codec("zstd").compress(raw).to_pybytes(),
    }[kind](text.encode())


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_packed_files_of_every_kind_are_read_and_a_cut_one_is_named(prepare, write, kind):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TRAIN * 50)
    write(f"rows/train.jsonl.{kind}", packed(kind, text))
    write("rows/test.jsonl", TEST)
    assert prepare()[0].num_rows["train"] == 100
    write(f"rows/train.jsonl.{kind}", packed(kind, text)[:40])
    with pytest.raises(UserError, match=rf"train\.jsonl\.{kind} cannot be unpacked"):
        prepare()


# LLaMA-Factory's list


@pytest.fixture
def listed(write):
    """Write a `dataset_info.json` beside a train.jsonl and a test.jsonl of GSM8K's columns."""

    def run(entries):
        write("lf/gsm8k_train.jsonl", TRAIN)
        write("lf/gsm8k_test.jsonl", TEST)
        return write("lf/dataset_info.json", json.dumps(entries, ensure_ascii=False))

    return run


GSM8K = {
    "gsm8k_train": {"file_name": "gsm8k_train.jsonl",
                    "columns": {"query": "question", "response": "answer"}},
    "gsm8k_test": {"file_name": "gsm8k_test.jsonl",
                   "columns": {"query": "question", "response": "answer"}},
}  # fmt: skip


@pytest.mark.parametrize("source", ["lf/dataset_info.json:gsm8k_train", "lf:gsm8k_train"])
def test_gsm8ks_entry_with_query_and_response_but_no_prompt_reads_right(prepare, listed, source):
    listed(GSM8K)
    _, rows = prepare(source)
    assert {(row["prompt"], row["response"]) for row in rows["train"]} == {
        (row["question"], row["answer"]) for row in TRAIN
    }
    assert (
        rows["test"][0]["segments"][0]["text"] == "Question: How many legs has a spider?\nAnswer:"
    )


def test_the_test_rows_may_be_an_entry_of_any_name_or_a_file(prepare, listed):
    listed({"gsm8k": GSM8K["gsm8k_train"], "exam": GSM8K["gsm8k_test"]})
    assert prepare("lf:gsm8k", test="exam")[0].num_rows["test"] == 1
    assert prepare("lf:gsm8k", test="lf/gsm8k_test.jsonl")[0].num_rows["test"] == 1
    with pytest.raises(
        UserError, match=r"no entry for `data\.test: test` beside `gsm8k`"
    ) as raised:
        prepare("lf:gsm8k")
    assert "one of these names" in raised.value.hint


def entry_with(write, prepare, rows, entry):
    """Rows of an alpaca or sharegpt entry, prepared."""
    write("lf/rows.jsonl", rows)
    write("lf/test.jsonl", TEST)
    listed = {"mine": {"file_name": "rows.jsonl", **entry},
              "test": {"file_name": "test.jsonl",
                       "columns": {"prompt": "question", "response": "answer"}}}  # fmt: skip
    write("lf/dataset_info.json", json.dumps(listed, ensure_ascii=False))
    return prepare("lf:mine")[1]["train"]


ALPACA = {"instruction": "译", "input": "苹果", "output": "apple", "system": "S",
          "history": [["a", "A"]]}  # fmt: skip
CHAT = {"conversations": [{"from": "human", "value": "1?"}, {"from": "gpt", "value": "1"}]}
OWN_CHAT = {"对话": [{"谁": "系统", "说": "S"}, {"谁": "客", "说": "1?"}, {"谁": "我", "说": "1"}]}

ENTRIES = {
    "without columns only the three usual ones are read": (
        [ALPACA], {}, ["译\n苹果", "apple"]),
    "a column that is not named is not read": (
        [ALPACA], {"columns": {"prompt": "instruction", "response": "output"}}, ["译", "apple"]),
    "system and history are read when named": (
        [ALPACA], {"columns": {"prompt": "instruction", "query": "input", "response": "output",
                               "system": "system", "history": "history"}},
        ["S", "a", "A", "译\n苹果", "apple"]),
    "sharegpt": ([CHAT], {"formatting": "sharegpt"}, ["1?", "1"]),
    "sharegpt with tags": (
        [OWN_CHAT], {"formatting": "sharegpt", "columns": {"messages": "对话"},
                     "tags": {"role_tag": "谁", "content_tag": "说", "user_tag": "客",
                              "assistant_tag": "我", "system_tag": "系统"}}, ["S", "1?", "1"]),
    "openai": (
        [{"messages": [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"}]}],
        {"formatting": "openai", "columns": {"messages": "messages"},
         "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user",
                  "assistant_tag": "assistant"}}, ["1?", "1"]),
    "old keys that mean nothing": ([CHAT], {"formatting": "sharegpt", "file_sha1": "x"}, ["1?", "1"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_is_read_as_llamafactory_reads_it(prepare, write, kind):
    rows, entry, contents = ENTRIES[kind]
    (row,) = entry_with(write, prepare, rows, entry)
    assert [turn["content"] for turn in row["messages"]] == contents


WRONG_ENTRIES = {
    "pairs": ([CHAT], {"ranking": True}, "`ranking: true` marks pairs", "questions with answers"),
    "pictures": ([CHAT], {"columns": {"images": "images"}}, "`columns.images` is not read", "text"),
    "cloud": ([CHAT], {"cloud_file_name": "s3://x/y.json"}, "`cloud_file_name` is not read", "file_name"),
    "formatting": ([CHAT], {"formatting": "chatml"}, "`formatting` must be one of", "sharegpt"),
    "misspelt column": ([CHAT], {"columns": {"promt": "x"}}, "unknown key `columns.promt`", "`prompt`"),
    "misspelt key": ([CHAT], {"format": "alpaca"}, "unknown key `format`", "`formatting`"),
    "tags in part": ([CHAT], {"formatting": "sharegpt", "tags": {"role_tag": "from"}},
                     "missing: `tags.content_tag`, `tags.user_tag`, `tags.assistant_tag`", "name them all"),
    "no such file": ([CHAT], {"file_name": "rowz.jsonl"}, "`file_name: rowz.jsonl` names no file", "folder"),
    "no such column": ([ALPACA], {"columns": {"prompt": "instruction", "query": "inptu",
                                              "response": "output"}},
                       "no row has the column `inptu`", "correct the name"),
    "other rows": ([CHAT], {}, "there is no column `instruction`", ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_ENTRIES)
def test_what_an_entry_cannot_mean_is_named_with_its_key(prepare, write, kind):
    rows, entry, cause, hint = WRONG_ENTRIES[kind]
    with pytest.raises(UserError) as raised:
        entry_with(write, prepare, rows, entry)
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_a_list_with_a_mistake_in_its_json_is_named_with_line_and_column(prepare, write):
    write("lf/dataset_info.json", '{"a": {"file_name": "x.jsonl",},\n}')
    with pytest.raises(
        UserError, match=r"dataset_info\.json: not valid JSON at .*a trailing comma"
    ):
        prepare("lf:a")


def test_an_entry_that_is_not_there_is_answered_with_those_that_are(prepare, listed):
    listed(GSM8K)
    with pytest.raises(UserError, match="no entry `gsm8k`; it lists `gsm8k_train`, `gsm8k_test`"):
        prepare("lf/dataset_info.json:gsm8k")
    with pytest.raises(UserError, match="no file holds the split `train`") as raised:
        prepare("lf")
    assert "`data.source: lf:gsm8k_train`" in raised.value.hint


def test_a_list_in_utf_8_with_chinese_names_is_read_whatever_the_console_speaks(prepare, listed):
    entries = {"数学": {**GSM8K["gsm8k_train"], "num_samples": 1}, "考试": GSM8K["gsm8k_test"]}
    path = listed(entries)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert prepare("lf:数学", test="考试")[0].num_rows["train"] == 1


def test_an_entry_on_a_hub_is_fetched_with_its_subset_and_columns(prepare, hub, write):
    rows = "".join(
        json.dumps({"q": f"{i}?", "a": "1", "instruction": "no"}) + "\n" for i in range(3)
    )
    files = {"main/train.jsonl": rows.encode(), "main/test.jsonl": rows.replace("?", "!").encode()}
    hub.add("dataset", "me/mine", files)
    entry = {"hf_hub_url": "me/mine", "subset": "main", "columns": {"prompt": "q", "response": "a"}}
    write("lf/dataset_info.json", json.dumps({"mine": entry}))
    _, prepared = prepare("lf:mine", access=HubAccess(endpoint=hub.endpoint))
    assert prompts(prepared["train"]) == ["0?", "1?", "2?"]
    assert prompts(prepared["test"]) == ["0!", "1!", "2!"]


def test_the_fingerprint_follows_the_rows_and_the_list(listed, write, tmp_path):
    def fingerprint():
        return data.fingerprint(DataSpec(source="lf:gsm8k_train"), base_dir=tmp_path)

    listed(GSM8K)
    first = fingerprint()
    assert fingerprint() == first
    write("lf/gsm8k_train.jsonl", TRAIN[:1])
    second = fingerprint()
    listed({**GSM8K, "gsm8k_train": {**GSM8K["gsm8k_train"], "num_samples": 1}})
    assert len({first, second, fingerprint()}) == 3


# ms-swift's names


def test_a_swift_name_takes_subsets_and_a_number_of_rows(prepare, hub, write):
    lines = "".join(json.dumps({"problem": f"SUB{i}?", "answer": "1"}) + "\n" for i in range(9))
    files = {}
    for subset in ("a", "b"):
        files[f"{subset}/train.jsonl"] = lines.replace("SUB", subset).encode()
        files[f"{subset}/test.jsonl"] = lines.replace("SUB", f"{subset}-exam").encode()
    hub.add("dataset", "me/mine", files)
    access = HubAccess(endpoint=hub.endpoint)
    manifest, rows = prepare("hf::me/mine:a/b#7", access=access)
    assert manifest.num_rows == {"train": 7, "validation": 0, "test": 18}
    assert {row["prompt"][0] for row in rows["train"]} == {"a", "b"}


SWIFT_ROWS = {
    "problem and solution": ({"problem": "1?", "solution": "1"}, ["1?", "1"]),
    "query and targets": ({"Query": "1?", "targets": "1"}, ["1?", "1"]),
    "history as text": ({"query": "b", "response": "B", "history": "[['a', 'A']]",
                         "system_prompt": "S"}, ["S", "a", "A", "b", "B"]),
    "alpaca": ({"instruction": "i", "input": "x", "output": "o"}, ["i\nx", "o"]),
    "conversation": ({"conversation": [{"from": "human", "value": "1?"},
                                       {"from": "bot", "value": "1"}]}, ["1?", "1"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SWIFT_ROWS)
def test_columns_may_have_the_names_that_swift_understands(prepare, write, kind):
    row, contents = SWIFT_ROWS[kind]
    write("rows/train.jsonl", [row])
    write("rows/test.jsonl", TEST)
    _, rows = prepare("rows/train.jsonl#1", test="rows/test.jsonl")
    assert [turn["content"] for turn in rows["train"][0]["messages"]] == contents


def test_two_columns_for_one_thing_are_refused_until_one_is_named(prepare, write):
    write("train.jsonl", [{"query": "1?", "answer": "1", "solution": "one"}])
    write("test.jsonl", TEST)
    with pytest.raises(UserError, match="`answer` and `solution` could all be the response"):
        prepare("train.jsonl#1", test="test.jsonl")
    write("test.jsonl", [{"query": "2?", "solution": "2"}])
    columns = Columns(prompt="query", response="solution")
    _, rows = prepare("train.jsonl#1", test="test.jsonl", columns=columns)
    assert rows["train"][0]["response"] == "one"


# ModelScope


@pytest.fixture
def on_modelscope(hub):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TRAIN).encode()
    test = "".join(json.dumps(row) + "\n" for row in TEST).encode()
    hub.add("dataset", "AI-ModelScope/gsm8k", {"main/train.jsonl": lines, "main/test.jsonl": test})
    return HubAccess(endpoint="http://127.0.0.1:9", modelscope_endpoint=hub.endpoint)


@pytest.mark.parametrize("how", ["name", "list"])
def test_a_dataset_on_modelscope_is_fetched_from_there_alone(
    prepare, on_modelscope, write, hub, how
):
    entry = {"ms_hub_url": "AI-ModelScope/gsm8k", "subset": "main",
             "columns": {"prompt": "question", "response": "answer"}}  # fmt: skip
    write("lf/dataset_info.json", json.dumps({"gsm8k": entry}))
    source = "ms::AI-ModelScope/gsm8k:main" if how == "name" else "lf:gsm8k"
    _, rows = prepare(source, access=on_modelscope)
    assert prompts(rows["train"]) == ["1 + 1?", "小明有几个苹果？"]
    assert len(rows["test"]) == 1
    assert all("/api/v1/datasets/" in request for request in hub.requests)


def test_a_dataset_that_modelscope_does_not_have_is_said(prepare, on_modelscope):
    with pytest.raises(UserError, match="AI-ModelScope/gsm9k"):
        prepare("ms::AI-ModelScope/gsm9k", access=on_modelscope)
