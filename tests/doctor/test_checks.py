"""What the doctor says of machines that are made up."""

from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from tests.doctor.machines import (
    GIB,
    HUB,
    MIRROR,
    SCOPE,
    TORCH,
    autodl,
    folder,
    healthy,
    windows_gbk,
)

from bakeoff.doctor import CHECKS, examine
from bakeoff.doctor.machine import Gpu, TorchFacts, TrackerClient


def found(machine, check):
    """Verdict, text and command of the findings of one name."""
    return [(f.verdict, f.text, f.command) for f in examine(machine) if f.check == check]


def the_one(machine, check):
    findings = found(machine, check)
    assert len(findings) == 1
    return findings[0]


def test_a_healthy_machine_has_nothing_to_mend():
    findings = examine(healthy())
    assert {finding.verdict for finding in findings} == {"ok"}
    assert all(finding.command is None for finding in findings)
    assert {"python", "gpu", "torch", "bf16", "memory", "disk", "hubs"} <= {
        finding.check for finding in findings
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("machine", [healthy, autodl, windows_gbk])
def test_every_complaint_is_a_sentence_and_every_check_bears_any_machine(machine, check):
    for finding in check(machine()):
        assert len(finding.text) > 3
        assert finding.verdict == "ok" or finding.command or "MPS" in finding.text


def test_a_driver_too_old_for_torch_is_a_problem():
    old = healthy(driver="470.82", driver_cuda="11.4", torch=replace(TORCH, sees_gpu=False))
    verdict, text, command = the_one(old, "torch")
    assert verdict == "problem"
    assert "built for CUDA 12.8" in text
    assert "driver 470.82 knows CUDA up to 11.4" in text
    assert "update the driver" in text
    assert command == "uv pip install --reinstall --torch-backend=auto torch"
    on_autodl = autodl(driver="470.82", driver_cuda="11.4", torch=replace(TORCH, sees_gpu=False))
    assert "rent a machine with a newer driver" in the_one(on_autodl, "torch")[1]


def test_a_driver_of_the_same_major_version_will_do():
    assert the_one(healthy(driver_cuda="12.2"), "torch")[0] == "ok"


def test_a_build_for_cpus_beside_a_gpu_is_a_problem():
    machine = healthy(torch=TorchFacts(version="2.13.0+cpu"))
    assert the_one(machine, "torch")[:1] == ("problem",)
    assert "the GPU stays idle" in the_one(machine, "torch")[1]


def test_torch_that_does_not_see_the_gpu_is_a_problem():
    machine = healthy(torch=replace(TORCH, sees_gpu=False))
    assert "finds no GPU although nvidia-smi does" in the_one(machine, "torch")[1]


def test_torch_that_cannot_be_imported_says_why():
    machine = healthy(torch=TorchFacts(version=None, error="OSError: WinError 126"))
    verdict, text, _ = the_one(machine, "torch")
    assert verdict == "problem"
    assert "OSError: WinError 126" in text


def test_an_old_card_has_no_bf16_and_the_command_says_what_to_use():
    machine = healthy(torch=replace(TORCH, supports_bf16=False))
    verdict, _, command = the_one(machine, "bf16")
    assert verdict == "warning"
    assert "train.precision=fp32" in command


def test_a_processor_without_bf16_matters_where_there_is_no_card():
    torch = replace(TORCH, sees_gpu=False, supports_bf16=None, cpu_supports_bf16=False)
    verdict, text, command = the_one(healthy(torch=torch, gpus=()), "bf16")
    assert verdict == "warning"
    assert "twenty times as long" in text
    assert "train.precision=fp32" in command
    assert found(healthy(torch=replace(torch, cpu_supports_bf16=True), gpus=()), "bf16") == []
    with_card = healthy(torch=replace(TORCH, cpu_supports_bf16=False))
    assert [verdict for verdict, *_ in found(with_card, "bf16")] == ["ok"]


def test_a_card_that_others_use_is_noticed():
    machine = healthy(gpus=(Gpu(name="A100", memory_bytes=80 * GIB, used_bytes=60 * GIB),))
    assert [verdict for verdict, *_ in found(machine, "gpu")] == ["ok", "warning"]


def test_autodl_moves_each_folder_to_the_data_disk():
    findings = found(autodl(), "data disk")
    assert [verdict for verdict, *_ in findings] == ["warning"] * 3
    assert findings[1][2] == (
        "mkdir -p /root/autodl-tmp/cache_dir; "
        "export BAKEOFF_CACHE_DIR=/root/autodl-tmp/cache_dir; "
        "echo 'export BAKEOFF_CACHE_DIR=/root/autodl-tmp/cache_dir' >> ~/.bashrc"
    )


def test_autodl_with_everything_on_the_data_disk_is_fine():
    there = folder("results", PurePosixPath("/root/autodl-tmp/runs"), "BAKEOFF_RUNS_DIR", device=2)
    assert the_one(autodl(folders=(there,)), "data disk")[0] == "ok"


def test_autodl_without_a_card_says_so():
    verdict, text, _ = the_one(autodl(gpus=None), "gpu")
    assert verdict == "warning"
    assert "无卡模式" in text


@pytest.mark.parametrize(("free", "verdict"), [(1e9, "problem"), (9e9, "warning"), (90e9, "ok")])
def test_little_room_is_a_warning_and_none_a_problem(free, verdict):
    place = folder("results", PurePosixPath("/x"), "BAKEOFF_RUNS_DIR", free=free)
    assert the_one(healthy(folders=(place,)), "disk")[0] == verdict


def test_folders_of_one_disk_are_one_finding():
    places = (
        folder("results", PurePosixPath("/a"), "BAKEOFF_RUNS_DIR"),
        folder("models and data", PurePosixPath("/b"), "BAKEOFF_CACHE_DIR"),
        folder("temporary files", PurePosixPath("/c"), "TMPDIR", device=9),
    )
    assert len(found(healthy(folders=places), "disk")) == 2


def test_one_hub_that_answers_is_enough():
    verdicts = {text.split()[0]: verdict for verdict, text, _ in found(autodl(), "hubs")}
    assert verdicts == {"hub": "warning", "mirror": "ok", "modelscope": "ok"}
    assert "HF_ENDPOINT=https://hf-mirror.com" in found(autodl(), "hubs")[0][2]


def test_modelscope_alone_is_named_in_the_recipe():
    gone = [replace(answer, seconds=None, error="x") for answer in (HUB, MIRROR)]
    machine = healthy(answers=(*gone, SCOPE))
    assert found(machine, "hubs")[0][2] == "bakeoff run RECIPE --set hub.order=modelscope"


def test_no_hub_at_all_is_a_problem():
    gone = tuple(replace(answer, seconds=None, error="x") for answer in (HUB, MIRROR, SCOPE))
    assert {verdict for verdict, *_ in found(healthy(answers=gone), "hubs")} == {"problem"}


def test_a_hub_that_is_switched_off_is_not_called_unreachable():
    verdict, text, command = the_one(healthy(offline=True, answers=()), "hubs")
    assert (verdict, command) == ("warning", "unset HF_HUB_OFFLINE")
    assert "HF_HUB_OFFLINE" in text


def test_a_windows_console_in_gbk_is_told_how_to_speak_utf8():
    files, console = found(windows_gbk(), "encoding")
    assert files[2] == 'setx PYTHONUTF8 "1"; $env:PYTHONUTF8 = "1"'
    assert "cp936" in files[1]
    assert console[2] == "chcp 65001"


def test_on_windows_the_commands_are_those_of_windows():
    machine = windows_gbk(
        environment={"HF_ENDPOINT": "hf-mirror.com"},
        folders=(folder("results", PureWindowsPath("D:/r"), "BAKEOFF_RUNS_DIR", free=1e9),),
    )
    commands = [f.command for f in examine(machine) if f.command]
    assert 'setx HF_ENDPOINT "https://hf-mirror.com"; ' in "\n".join(commands)
    assert "winget install --id Git.Git" in commands
    assert not any("export " in command or "mkdir -p" in command for command in commands)


VARIABLES = {
    "no scheme": ({"HF_ENDPOINT": "hf-mirror.com"}, "HF_ENDPOINT", "problem", "https://hf-mirror.com"),
    "threads 0": ({"OMP_NUM_THREADS": "0"}, "OMP_NUM_THREADS", "problem", "OMP_NUM_THREADS=16"),
    "threads x": ({"OMP_NUM_THREADS": "all"}, "OMP_NUM_THREADS", "problem", "OMP_NUM_THREADS=16"),
    "threads 99": ({"OMP_NUM_THREADS": "99"}, "OMP_NUM_THREADS", "warning", "OMP_NUM_THREADS=16"),
    "hidden": ({"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES", "warning", "unset CUDA"),
    "hidden too": ({"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES", "warning", "unset CUDA"),
    "not there": ({"CUDA_VISIBLE_DEVICES": "0,3"}, "CUDA_VISIBLE_DEVICES", "problem", "unset CUDA"),
    "proxy": ({"HTTPS_PROXY": "127.0.0.1:7890"}, "proxy", "problem", "http://127.0.0.1:7890"),
    "allocator": ({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments=True"},
                  "PYTORCH_CUDA_ALLOC_CONF", "problem", "unset PYTORCH_CUDA_ALLOC_CONF"),
    "quotes": ({"HF_HOME": '"/data/hf"'}, "HF_HOME", "problem", "export HF_HOME=/data/hf;"),
}  # fmt: skip


@pytest.mark.parametrize("case", VARIABLES)
def test_a_variable_that_does_harm_is_named_with_what_mends_it(case):
    environment, check, verdict, command = VARIABLES[case]
    finding = the_one(healthy(environment=environment), check)
    assert finding[0] == verdict
    assert command in finding[2]


def test_variables_that_are_right_are_no_matter():
    environment = {
        "HF_ENDPOINT": "https://hf-mirror.com", "OMP_NUM_THREADS": "8",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True,max_split_size_mb:128",
        "CUDA_VISIBLE_DEVICES": "0", "HF_HOME": "/data/hf",
    }  # fmt: skip
    assert {f.verdict for f in examine(healthy(environment=environment))} == {"ok"}


def test_a_password_in_a_proxys_address_is_not_shown():
    machine = healthy(environment={"HTTPS_PROXY": "http://me:secret@proxy:8080"})
    assert "secret" not in the_one(machine, "proxy")[1]


def test_an_old_python_is_a_problem():
    assert the_one(healthy(python_version=(3, 9, 2)), "python")[0] == "problem"


def test_a_tracker_whose_variables_are_set_is_missed():
    clients = (
        TrackerClient(name="mlflow", missing=(), command="pip install mlflow-skinny"),
        TrackerClient(name="swanlab", missing=("swanlab (not installed)",), command="-"),
        TrackerClient(
            name="wandb", missing=("wandb (not installed)",), command="pip install wandb"
        ),
    )
    variables = {"WANDB_API_KEY": "secret", "PATH": "/bin"}
    ready, missed = found(healthy(trackers=clients, environment=variables), "trackers")
    assert ready == ("ok", "`report_to` may name mlflow", None)
    assert missed == (
        "warning",
        "WANDB_API_KEY is set, but `report_to: wandb` needs wandb (not installed)",
        "pip install wandb",
    )
    assert found(healthy(), "trackers") == []
