"""What the `source` of a recipe names."""

from pathlib import Path

import pytest

from bakeoff.base.errors import UserError
from bakeoff.base.sources import resolve_path, source_kind


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("builtin:anything", "builtin"),
        ("rows", "local"),
        ("./rows", "local"),
        (r".\rows\train.jsonl", "local"),
        ("openai/gsm8k", "hub"),
        ("Qwen/Qwen2.5-1.5B", "hub"),
        ("gpt2", "hub"),
    ],
)
def test_what_stands_on_disk_is_local_and_what_looks_like_an_id_is_on_the_hub(
    tmp_path, source, kind
):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/train.jsonl").touch()
    assert source_kind(source, tmp_path, key="data.source") == kind
    assert source_kind(str(tmp_path / "rows"), Path("/"), key="data.source") == "local"


@pytest.mark.parametrize(
    "source", ["./rowz", "rowz/a/b", r"D:\data", "train.jsonl", "a b/c", "~/nowhere/x", "/nowhere"]
)
def test_what_is_neither_is_an_error_with_its_key(tmp_path, source):
    with pytest.raises(UserError, match=r"`data\.source: .*names no file or folder"):
        source_kind(source, tmp_path, key="data.source")


def test_the_error_names_what_is_there(tmp_path):
    (tmp_path / "rows").mkdir()
    with pytest.raises(UserError) as near:
        source_kind("./rosw/train.jsonl", tmp_path, key="data.source")
    with pytest.raises(UserError) as far:
        source_kind("./zzzzzz", tmp_path, key="data.source")
    assert near.value.hint.startswith("did you mean `rows`?")
    assert (
        far.value.hint == f"{tmp_path} holds `rows`; a relative path starts at the recipe's folder"
    )


def test_a_back_slash_separates_unless_a_file_has_it_in_its_name(tmp_path):
    assert resolve_path(r"a\b", tmp_path) == tmp_path / "a/b"
    assert resolve_path("a/b", tmp_path) == tmp_path / "a/b"
