"""The locks that are part of the package."""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from bakeoff.base.errors import UserError
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.locks import make_lock, read_lock
from bakeoff.envs.spec import TORCH
from bakeoff.envs.uv import find_uv

NAMES = ENVIRONMENTS.names()
ROOT = Path(__file__).parents[2]
LINE = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9a-z.]+(\.post\d+)?( ; [a-z_ <>=!'().0-9A-Z-]+)?")
NEVER_AS_WHEELS = ("oss2", "crcmod", "transformers-stream-generator", "deepspeed")


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_holds_names_and_versions_and_nothing_else(name):
    spec = ENVIRONMENTS.get(name)
    lines = spec.lock_path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len(read_lock(spec).requirements) == len(lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_meets_the_requirements_it_was_made_from(name):
    from packaging.requirements import Requirement

    spec = ENVIRONMENTS.get(name)
    lock = read_lock(spec)
    for line in spec.requirements:
        wanted = Requirement(line)
        assert wanted.specifier.contains(lock.version(wanted.name))


def test_torch_is_the_same_everywhere():
    ours = (ROOT / "requirements" / "bakeoff.txt").read_text(encoding="utf-8").splitlines()
    assert TORCH in ours
    for name in NAMES:
        assert TORCH in read_lock(ENVIRONMENTS.get(name)).lines


@pytest.mark.parametrize("name", NAMES)
def test_what_the_overrides_leave_out_is_not_locked(name):
    spec = ENVIRONMENTS.get(name)
    locked = {canonicalize_name(r.name) for r in read_lock(spec).requirements}
    assert not locked & {"torchvision", "torchaudio", "triton"}
    assert not [one for one in locked if one.startswith(("nvidia-", "cuda-"))]
    assert all(path.is_file() for path in spec.stand_in_paths)


def test_the_digest_changes_with_whatever_changes_the_environment(made):
    digests = {read_lock(made.spec()).digest}
    made.relock(["tiny-framework==1.0 "])
    digests.add(read_lock(made.spec(overrides=("six==1.17.0",))).digest)
    made.relock(["tiny-framework==1.1"])
    digests.add(read_lock(made.spec()).digest)
    assert len(digests) == 3


def test_an_environment_without_a_lock_says_how_to_make_one(made):
    with pytest.raises(UserError, match="`other` has no lock") as error:
        read_lock(made.spec(name="other"))
    assert error.value.hint == "`bakeoff env lock other`"


@pytest.mark.network
def test_locking_anew_without_upgrade_changes_nothing(tmp_path):
    import os
    from dataclasses import replace

    spec = ENVIRONMENTS.get("swift")
    copy = replace(spec, home=tmp_path)
    copy.lock_path.parent.mkdir()
    copy.lock_path.write_bytes(spec.lock_path.read_bytes())
    make_lock(copy, find_uv(os.environ), upgrade=False, report=lambda _: None)
    assert copy.lock_path.read_bytes() == spec.lock_path.read_bytes()


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    "platform",
    [
        "x86_64-manylinux_2_28",
        "aarch64-manylinux_2_28",
        "x86_64-pc-windows-msvc",
        "aarch64-apple-darwin",
    ],
)
def test_every_package_has_a_wheel_for_the_system(tmp_path, name, version, platform):
    import os

    spec = ENVIRONMENTS.get(name)
    system = {"windows": "windows", "apple": "macos"}.get(platform.split("-")[1], "linux")
    if "windows" in platform:
        system = "windows"
    if not any(one.startswith(system) for one in spec.systems):
        pytest.skip(f"not made for {system}")
    uv = find_uv(os.environ).without_local_files()
    (tmp_path / "overrides.txt").write_text("\n".join(spec.overrides), encoding="utf-8")
    sources = [part for one in NEVER_AS_WHEELS for part in ("--no-binary", one)]
    done = subprocess.run(
        [uv.program, "pip", "compile", "--quiet", "--python-platform", platform,
         "--python-version", version, "--override", "overrides.txt", "--only-binary", ":all:",
         *sources, spec.lock_path, "--output-file", os.devnull],
        cwd=tmp_path,
        env={**uv.environment, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
