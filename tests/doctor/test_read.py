"""The facts are read as the tools print them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import command, environment
from tests.fake_hub import running_hub

from bakeoff.base.hub_access import HubAccess
from bakeoff.doctor import examine
from bakeoff.doctor.machine import Answer
from bakeoff.doctor.read import Readers, Surroundings, read_machine, real_readers

SMI = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.14              Driver Version: 550.54.14      CUDA Version: 12.4     |
"""
TORCH = '{"version": "2.6.0", "cuda_version": "12.4", "sees_gpu": true, "supports_bf16": true}'


def fake_readers(**told):
    def capture(argv, seconds):
        if argv[0] == "nvidia-smi" and len(argv) > 1:
            return told.get("gpus", "Tesla T4, 15360, 3, 550.54.14")
        if argv[0] == "nvidia-smi":
            return SMI
        return "git version 2.40" if argv[0] == "git" else told.get("torch", TORCH)

    def disk(path):
        on_data_disk = "autodl-tmp" in str(path)
        return (2, 90 * 10**9) if on_data_disk else (1, 20 * 10**9)

    return Readers(
        capture=capture,
        ask_hub=lambda place: Answer(name=place.name, endpoint=place.endpoint, seconds=0.1),
        disk=disk,
        is_folder=lambda path: str(path) == "/root/autodl-tmp" and told.get("autodl", False),
    )


@pytest.fixture
def around(tmp_path):
    return Surroundings(
        environment={"HF_HOME": "/root/autodl-tmp/hf"},
        python=Path(sys.executable),
        runs_dir=tmp_path / "runs",
        cache_dir=tmp_path / "cache",
        hub=HubAccess(order=("hub", "modelscope")),
        console_encoding="utf-8",
        file_encoding="utf-8",
        trackers=(),
    )


def test_a_fake_autodl_machine_is_recognised(around):
    machine = read_machine(around, fake_readers(autodl=True))
    assert machine.is_autodl
    wrong = [f.text.split(" go to")[0] for f in examine(machine) if f.check == "data disk"]
    assert wrong == ["results", "models and data", "temporary files"]


def test_gpu_driver_and_torch_are_read(around):
    machine = read_machine(around, fake_readers())
    assert machine.gpus[0].name == "Tesla T4"
    assert machine.gpus[0].memory_bytes == 15360 * 1024**2
    assert (machine.driver, machine.driver_cuda) == ("550.54.14", "12.4")
    assert machine.torch.version == "2.6.0"
    assert [answer.name for answer in machine.answers] == ["hub", "modelscope"]


@pytest.mark.parametrize("said", [None, "", "Segmentation fault"])
def test_a_torch_that_says_nothing_is_a_problem_and_no_crash(around, said):
    machine = read_machine(around, fake_readers(torch=said))
    assert machine.torch is None
    assert [f.verdict for f in examine(machine) if f.check == "torch"] == ["problem"]


@pytest.mark.parametrize("listed", [None, "", "No devices were found"])
def test_a_machine_without_a_gpu_is_read(around, listed):
    machine = read_machine(around, fake_readers(gpus=listed))
    assert not machine.gpus
    assert [f.verdict for f in examine(machine) if f.check == "gpu"] == ["warning"]


def test_a_real_server_that_answers_and_an_address_that_does_not(around, hub):
    ask = real_readers().ask_hub
    places = HubAccess(
        endpoint=hub.endpoint, mirror_endpoint="http://127.0.0.1:9", order=("hub", "mirror")
    ).places()
    answer, silence = (ask(place) for place in places)
    assert answer.seconds < 5
    assert silence.seconds is None
    assert "ConnectError" in silence.error


def test_the_command_looks_at_this_machine(tmp_path):
    with running_hub() as hub:
        asked = {"HF_ENDPOINT": hub.endpoint, "MODELSCOPE_DOMAIN": hub.endpoint}
        asked |= {"NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            command("doctor", "--json"),
            cwd=tmp_path,
            env={**environment(tmp_path), **asked},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    findings = json.loads(done.stdout)
    problems = [finding for finding in findings if finding["verdict"] == "problem"]
    assert done.returncode == (1 if problems else 0)
    assert {"python", "torch", "memory", "disk", "hubs"} <= {f["check"] for f in findings}
    torch = next(f for f in findings if f["check"] == "torch")
    assert torch["verdict"] == "ok"


def test_the_core_never_imports_torch_for_it(tmp_path):
    code = (
        "import sys; sys.argv = ['bakeoff', 'doctor', '--json']\n"
        "from bakeoff.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    offline = {**environment(tmp_path), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=offline,
                   capture_output=True)  # fmt: skip
