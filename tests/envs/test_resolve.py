"""Which interpreter a framework runs in."""

import sys

import pytest
from tests.envs import tiny_env

from bakeoff.base.errors import UserError
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.resolve import resolve


@pytest.fixture
def find(made, monkeypatch):
    """`resolve`, with the tiny environment in the registry."""
    tiny_env.use(made)
    monkeypatch.setitem(ENVIRONMENTS._targets, "tiny", "tests.envs.tiny_env:SPEC")

    def call(name, given=None):
        return resolve(name, given, cache_dir=made.cache, base_dir=made.folder)

    return call


def test_what_is_not_installed_says_how_to_install_it(find):
    with pytest.raises(UserError, match="`tiny` is not installed") as error:
        find("tiny")
    assert "`bakeoff env install tiny`" in error.value.hint


def test_ours_is_found_with_its_lock_and_versions(find, made):
    done = made.installer().install(made.spec())
    found = find("tiny")
    assert found.python == done.python
    assert found.lock_digest == done.note.lock_digest
    assert found.versions == {"python": done.note.python_version, "tiny-framework": "1.0"}
    assert found.differences == ()
    assert found.folder == done.folder


@pytest.mark.parametrize("given", ["interpreter", "folder", "relative"])
def test_a_named_interpreter_is_taken_and_compared_with_the_lock(find, made, given):
    done = made.installer().install(made.spec())
    made.relock(["tiny-framework==1.1", "another==2"])
    names = {
        "interpreter": str(done.python),
        "folder": str(done.folder),
        "relative": str(done.folder.relative_to(made.folder)),
    }
    found = find("tiny", names[given])
    assert found.python == done.python
    assert found.lock_digest is None
    assert found.folder is None
    assert found.differences == ("tiny-framework: 1.0, locked ==1.1", "another: ==2 is missing")


def test_an_interpreter_without_the_framework_is_refused(find):
    with pytest.raises(UserError, match="does not hold tiny-framework"):
        find("tiny", sys.executable)


def test_a_program_that_is_no_python_is_refused(find, made):
    program = made.folder / "python"
    program.write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(UserError, match="is not a Python interpreter that runs here"):
        find("tiny", "python")


def test_a_path_that_is_not_there_is_refused(find, made):
    with pytest.raises(UserError, match=r"there is no .*nowhere, which is named for `tiny`"):
        find("tiny", "nowhere")
    with pytest.raises(UserError, match="locks, named for `tiny`, holds no Python interpreter"):
        find("tiny", "locks")


def test_an_unknown_name_is_answered_with_the_nearest(find):
    with pytest.raises(UserError) as error:
        find("swfit", "/usr/bin/python3")
    assert error.value.hint == "did you mean `swift`?"
