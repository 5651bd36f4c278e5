"""Files are whole or absent."""

import os

import pytest

from bakeoff.base.errors import UserError
from bakeoff.base.files import (
    folder_when_whole,
    iter_jsonl,
    require_free_bytes,
    write_jsonl,
    write_text_atomic,
)


class _InterruptedError(Exception):
    pass


def _make_half(target):
    with folder_when_whole(target) as folder:
        (folder / "half").write_text("x")
        raise _InterruptedError


def test_a_folder_appears_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(_InterruptedError):
        _make_half(target)
    assert list(tmp_path.iterdir()) == []
    with folder_when_whole(target) as folder:
        (folder / "whole").write_text("x")
        assert not target.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "whole"]


def test_a_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "record.json"
    write_text_atomic(path, "旧\n")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert path.read_bytes() == "旧\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_last_line_ends_the_reading(tmp_path):
    path = tmp_path / "events.jsonl"
    write_jsonl(path, [{"a": 1}, {"b": "中"}])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"c": 3')
    assert list(iter_jsonl(path)) == [{"a": 1}, {"b": "中"}]


def test_a_full_disk_is_noticed_before_the_work(tmp_path):
    with pytest.raises(UserError, match=r"the model needs 1000000000\.0 GB of disk"):
        require_free_bytes(tmp_path / "not" / "yet", 10**18, "the model")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_written_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        write_text_atomic(tmp_path / "report.html", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o640
