"""Whether a file lies in memory already."""

import sys

import pytest

from bakeoff.measure.page_cache import cached_share, cached_share_of_model

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@linux
def test_a_file_that_was_just_written_lies_in_memory(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x" * 3_000_000)
    (tmp_path / "config.json").write_text("{}")
    assert cached_share_of_model(tmp_path) == 1.0


@linux
def test_a_file_of_which_nothing_was_read_does_not(tmp_path):
    # Holes of a sparse file have no pages until somebody reads them.
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(4_096_000)
    assert cached_share([path]) == 0.0
    with path.open("rb") as file:
        file.seek(2_048_000)
        file.read(4096)
    assert 0 < cached_share([path]) < 1


def test_a_folder_without_weights_tells_nothing(tmp_path):
    assert cached_share_of_model(tmp_path) is None
