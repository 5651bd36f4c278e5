"""An environment is there whole or not at all."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bakeoff.base.errors import RunError, UserError
from bakeoff.envs.installed import all_installed, envs_dir, installed_from, lock_file, remove
from bakeoff.envs.locks import read_lock


def folders(made) -> list[str]:
    here = envs_dir(made.cache)
    return sorted(path.name for path in here.iterdir() if path.is_dir()) if here.exists() else []


def test_an_installed_environment_runs_where_it_was_moved_to(made):
    done = made.installer().install(made.spec())
    assert folders(made) == [done.folder.name]
    script = done.python.parent / "tiny-framework"
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "1.0\n"
    assert done.note.num_bytes > 0
    assert done.note.lock_digest == read_lock(made.spec()).digest


def test_installing_again_changes_nothing(made):
    first = made.installer().install(made.spec())
    (first.folder / "mark").touch()
    assert made.installer().install(made.spec()) == first
    assert made.installer(python=sys.executable).install(made.spec()) == first
    assert (first.folder / "mark").exists()


def test_an_environment_that_somebody_changed_is_made_anew(made):
    first = made.installer().install(made.spec())
    site = next(first.folder.rglob("site-packages"))
    (site / "tiny_framework-1.0.dist-info" / "METADATA").unlink()
    again = made.installer().install(made.spec())
    assert again.folder == first.folder
    assert (site / "tiny_framework-1.0.dist-info" / "METADATA").exists()


def test_a_new_lock_has_a_folder_of_its_own_and_the_old_one_is_not_used(made):
    old = made.installer().install(made.spec())
    made.wheel("tiny_framework", "1.1")
    made.relock(["tiny-framework==1.1"])
    assert installed_from(read_lock(made.spec()), "tiny", made.cache) == []
    new = made.installer().install(made.spec())
    assert new.folder != old.folder
    assert {one.folder for one in all_installed("tiny", made.cache)} == {old.folder, new.folder}
    assert installed_from(read_lock(made.spec()), "tiny", made.cache) == [new]


def test_a_stand_in_can_be_imported_and_says_what_it_is_when_used(made):
    import bakeoff.envs

    (made.folder / "stand_ins").mkdir()
    ours = Path(bakeoff.envs.__file__).parent / "stand_ins" / "torchaudio.py"
    (made.folder / "stand_ins" / "torchaudio.py").write_bytes(ours.read_bytes())
    done = made.installer().install(made.spec(stand_ins=("torchaudio",)))
    code = "import torchaudio\ntorchaudio.load('x.wav')"
    ran = subprocess.run([done.python, "-c", code], capture_output=True, text=True, check=False)
    assert "RuntimeError: torchaudio.load is wanted, but this environment is for text" in ran.stderr


def test_what_cannot_be_installed_leaves_nothing(made):
    made.relock(["tiny-framework==9.9"])
    with pytest.raises(RunError, match="`tiny` was not installed") as error:
        made.installer().install(made.spec())
    assert "tiny-framework==9.9" in error.value.log_tail
    assert folders(made) == []


def test_an_installation_killed_in_the_middle_is_never_used_and_goes_with_the_next(made):
    made.relock([*made.lines, made.slow_package()])
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.envs.made import Made\n"
        "made = object.__new__(Made)\nmade.folder, made.said = Path(sys.argv[1]), []\n"
        "made.installer().install(made.spec())\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, made.folder], cwd=root)
    wait_for(made.folder / "building")
    orphans = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert [name[0] for name in folders(made)] == ["."]
    assert list(all_installed("tiny", made.cache)) == []
    for orphan in orphans:
        orphan.kill()
    (made.folder / "go").touch()
    done = made.installer().install(made.spec())
    assert folders(made) == [done.folder.name]


def test_of_two_at_once_the_second_waits_and_finds_it_done(made):
    made.relock([*made.lines, made.slow_package()])
    results = []

    def work():
        results.append(made.installer().install(made.spec()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(made.folder / "building")
    deadline = time.monotonic() + 30
    while "waiting for another one" not in made.said and time.monotonic() < deadline:
        time.sleep(0.05)
    (made.folder / "go").touch()
    for thread in threads:
        thread.join(60)
    assert results[0] == results[1]
    assert "waiting for another one" in made.said


def test_without_a_network_the_message_names_the_way_to_a_mirror(made):
    from dataclasses import replace

    uv = made.uv.without_local_files()
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    known = {k: v for k, v in uv.environment.items() if k != "UV_NO_INDEX"}
    with pytest.raises(UserError, match="the package index did not answer") as error:
        made.installer(uv=replace(uv, environment={**known, **nowhere})).install(made.spec())
    assert "UV_DEFAULT_INDEX" in error.value.hint
    assert folders(made) == []


def test_a_full_disk_is_seen_before_anything_is_fetched(made):
    uv = made.uv.without_local_files()
    with pytest.raises(UserError, match=r"`tiny` needs 1000000000\.0 GB of disk"):
        made.installer(uv=uv).install(made.spec(num_bytes=10**18))
    assert folders(made) == []


def test_another_system_is_refused_with_a_way_out(made):
    with pytest.raises(UserError, match="is for plan9-mips; this is ") as error:
        made.installer().install(made.spec(systems=frozenset({"plan9-mips"})))
    assert "env: {tiny: /path/to/python}" in error.value.hint


@pytest.mark.parametrize(
    ("pythons", "wanted", "message"),
    [
        ("<3.8", None, "needs Python <3.8; none was found on this machine"),
        ("<3.8", sys.executable, "needs Python <3.8; .* is Python 3"),
        (">=3.11", "/no/python", "needs Python >=3.11; there is no `/no/python`"),
    ],
)
def test_a_python_that_does_not_fit_is_refused(made, pythons, wanted, message):
    with pytest.raises(UserError, match=message):
        made.installer(python=wanted).install(made.spec(pythons=pythons))


def test_removing_takes_all_of_one_name_and_nothing_else(made):
    done = made.installer().install(made.spec())
    leaving = envs_dir(made.cache) / f".{done.folder.name}.x1y2"
    other = envs_dir(made.cache) / f"tiny-other-{done.folder.name[-12:]}"
    for folder in (leaving, other):
        folder.mkdir()
    assert remove("tiny", made.cache) == [done.folder]
    assert folders(made) == [other.name]
    assert remove("tiny", made.cache) == []
    assert lock_file("tiny", made.cache).parent == envs_dir(made.cache)


def test_settings_for_pip_reach_uv_unless_uv_has_its_own():
    from bakeoff.envs.uv import find_uv

    given = {
        "PATH": os.environ["PATH"],
        "PIP_FIND_LINKS": "/wheels /more",
        "PIP_INDEX_URL": "http://mirror/simple",
        "PYTHONPATH": "/elsewhere",
    }
    seen = find_uv(given).environment
    assert seen["UV_FIND_LINKS"] == "/wheels,/more"
    assert seen["UV_DEFAULT_INDEX"] == "http://mirror/simple"
    assert "PYTHONPATH" not in seen
    own = find_uv({**given, "UV_DEFAULT_INDEX": "http://own/simple"}).environment
    assert own["UV_DEFAULT_INDEX"] == "http://own/simple"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)
