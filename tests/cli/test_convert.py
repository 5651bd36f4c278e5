"""`bakeoff data convert`, as a person types it."""

import json

from tests.command import bakeoff

ROWS = [{"instruction": "写一句鼓励的话", "input": "", "output": "坚持就是胜利！", "id": 1}]


def test_a_chinese_alpaca_file_goes_to_sharegpt_and_back_through_the_list(tmp_path):
    text = json.dumps(ROWS, ensure_ascii=False)
    (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    done = bakeoff(tmp_path, "data", "convert", "mine.json", "-o", "lf", "--to", "sharegpt",
                   "--for", "llamafactory", "--name", "励志")  # fmt: skip
    assert "1 rows" in done.stdout
    assert "columns not carried over: `id`" in done.stderr
    told = bakeoff(tmp_path, "data", "convert", "lf/dataset_info.json:励志", "-o", "back", "--to",
                   "alpaca", "--json").stdout  # fmt: skip
    assert json.loads(told)["num_rows"] == {"train": 1}
    written = (tmp_path / "back/train.jsonl").read_text(encoding="utf-8")
    assert json.loads(written) == {key: ROWS[0][key] for key in ("instruction", "input", "output")}


def test_mistakes_name_the_option(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"ask": "1?", "say": "1"}\n', encoding="utf-8")

    def message(*options):
        arguments = ("data", "convert", "a.jsonl", "-o", "out", "--to", "alpaca", *options)
        return bakeoff(tmp_path, *arguments, expect=2).stderr

    assert "no column `question`; the columns there are `ask`, `say`" in message()
    assert "expected ROLE=NAME, got `ask`" in message("--columns", "ask")
    assert "did you mean `prompt`?" in message("--columns", "promt=ask")
    assert "`--format`" in message("--format", "alpacca")
    bakeoff(tmp_path, "data", "convert", "a.jsonl", "-o", "out", "--to", "alpaca", "--columns",
            "prompt=ask,response=say")  # fmt: skip
