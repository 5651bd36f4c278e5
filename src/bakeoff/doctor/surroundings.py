"""Hubs, environment variables, encodings, git and trackers."""

import re
from collections.abc import Iterator

from bakeoff.base.hub_access import MIRROR
from bakeoff.doctor.commands import install, set_variable, unset_variable
from bakeoff.doctor.machine import Machine
from bakeoff.schema.findings import Finding

_UTF8 = ("utf-8", "utf8", "cp65001")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def check_hubs(machine: Machine) -> Iterator[Finding]:
    """One that answers is enough."""
    if machine.offline:
        yield Finding(
            check="hubs",
            verdict="warning",
            text="HF_HUB_OFFLINE is set: only what is on disk is used",
            command=unset_variable(machine.system, "HF_HUB_OFFLINE"),
        )
        return
    answering = [answer for answer in machine.answers if answer.seconds is not None]
    for answer in machine.answers:
        where = f"{answer.name} ({answer.endpoint})"
        if answer.seconds is not None:
            text = f"{where} answers in {answer.seconds:.1f} s"
            yield Finding(check="hubs", verdict="ok", text=text)
            continue
        yield Finding(
            check="hubs",
            verdict="warning" if answering else "problem",
            text=f"{where} does not answer: {answer.error}",
            command=_other_hub(machine, answering[0].name if answering else None),
        )


def _other_hub(machine: Machine, answering: str | None) -> str:
    if answering is None:
        return set_variable(machine.system, "HTTPS_PROXY", "http://PROXY_ADDRESS:PORT")
    if answering == "modelscope":
        return "bakeoff run RECIPE --set hub.order=modelscope"
    return set_variable(machine.system, "HF_ENDPOINT", MIRROR)


def check_hub_variables(machine: Machine) -> Iterator[Finding]:
    endpoint = machine.environment.get("HF_ENDPOINT")
    if endpoint is not None and not re.match(r"https?://[^/\s]+/?$", endpoint):
        host = (
            re.sub(r"^\w+:/*", "", endpoint.strip().strip("/")).strip().split("/")[0]
            or "hf-mirror.com"
        )
        yield Finding(
            check="HF_ENDPOINT",
            verdict="problem",
            text=f"HF_ENDPOINT is `{endpoint}`; an address such as {MIRROR} was expected",
            command=set_variable(machine.system, "HF_ENDPOINT", f"https://{host}"),
        )
    for name in ("HF_ENDPOINT", "HF_HOME"):
        value = machine.environment.get(name)
        if value and (value != value.strip() or value[0] in "'\""):
            yield Finding(
                check=name,
                verdict="problem",
                text=f"{name} holds a space or a quotation mark at its ends: `{value}`",
                command=set_variable(machine.system, name, value.strip().strip("'\"").strip()),
            )


def check_visible_devices(machine: Machine) -> Iterator[Finding]:
    value = machine.environment.get("CUDA_VISIBLE_DEVICES")
    if value is None or not machine.gpus:
        return
    chosen = [part.strip() for part in value.split(",") if part.strip()]
    missing = [part for part in chosen if part.isdigit() and int(part) >= len(machine.gpus)]
    if not chosen or chosen[0] == "-1":
        verdict, text = "warning", f"CUDA_VISIBLE_DEVICES={value!r} hides every GPU"
    elif missing:
        verdict = "problem"
        text = (
            f"CUDA_VISIBLE_DEVICES={value} names GPU {missing[0]}, but there are "
            f"{len(machine.gpus)}, counted from 0; CUDA drops what comes after it"
        )
    else:
        yield Finding(
            check="CUDA_VISIBLE_DEVICES", verdict="ok", text=f"only GPU {value} is to be used"
        )
        return
    yield Finding.model_validate(
        {
            "check": "CUDA_VISIBLE_DEVICES",
            "verdict": verdict,
            "text": text,
            "command": unset_variable(machine.system, "CUDA_VISIBLE_DEVICES"),
        }
    )


def check_threads(machine: Machine) -> Iterator[Finding]:
    value = machine.environment.get("OMP_NUM_THREADS")
    if value is None:
        return
    wanted = str(machine.num_cores)
    if not value.isdigit() or int(value) == 0:
        yield Finding(
            check="OMP_NUM_THREADS",
            verdict="problem",
            text=f"OMP_NUM_THREADS is `{value}`; a number of threads from 1 on was expected",
            command=set_variable(machine.system, "OMP_NUM_THREADS", wanted),
        )
    elif int(value) > machine.num_cores:
        yield Finding(
            check="OMP_NUM_THREADS",
            verdict="warning",
            text=f"OMP_NUM_THREADS={value}, but there are {wanted} cores: threads get in each "
            "other's way",
            command=set_variable(machine.system, "OMP_NUM_THREADS", wanted),
        )


def check_allocator(machine: Machine) -> Iterator[Finding]:
    value = machine.environment.get("PYTORCH_CUDA_ALLOC_CONF")
    if not value:
        return
    if not re.fullmatch(r"\w+:[^,\s]+(,\w+:[^,\s]+)*", value):
        text = f"PYTORCH_CUDA_ALLOC_CONF is `{value}`; `name:value,name:value` was expected"
        verdict = "problem"
    elif machine.system == "Windows" and "expandable_segments:True" in value:
        text = "PYTORCH_CUDA_ALLOC_CONF asks for expandable_segments, which Windows does not have"
        verdict = "warning"
    else:
        return
    yield Finding.model_validate(
        {
            "check": "PYTORCH_CUDA_ALLOC_CONF",
            "verdict": verdict,
            "text": text,
            "command": unset_variable(machine.system, "PYTORCH_CUDA_ALLOC_CONF"),
        }
    )


def check_proxies(machine: Machine) -> Iterator[Finding]:
    for name in _PROXIES:
        value = machine.environment.get(name)
        if not value:
            continue
        if re.match(r"(https?|socks5h?|socks4)://", value):
            # It may hold a password.
            shown = re.sub(r"//[^@/]*@", "//...@", value)
            yield Finding(check="proxy", verdict="ok", text=f"{name} is {shown}")
        else:
            yield Finding(
                check="proxy",
                verdict="problem",
                text=f"{name} has no scheme; it was expected to start with http://",
                command=set_variable(machine.system, name, f"http://{value}"),
            )


def check_encodings(machine: Machine) -> Iterator[Finding]:
    files, console = machine.file_encoding.lower(), machine.console_encoding.lower()
    if files not in _UTF8:
        name, value = ("PYTHONUTF8", "1") if machine.system == "Windows" else ("LANG", "C.UTF-8")
        yield Finding(
            check="encoding",
            verdict="warning",
            text=f"text files are read as {machine.file_encoding} where a tool does not say: "
            "Chinese data comes out garbled or stops the training frameworks",
            command=set_variable(machine.system, name, value),
        )
    if console not in _UTF8:
        yield Finding(
            check="encoding",
            verdict="warning",
            text=f"the console shows {machine.console_encoding}: some characters become `?`",
            command="chcp 65001"
            if machine.system == "Windows"
            else set_variable(machine.system, "LANG", "C.UTF-8"),
        )
    if files in _UTF8 and console in _UTF8:
        yield Finding(check="encoding", verdict="ok", text="UTF-8 for files and console")


def check_git(machine: Machine) -> Iterator[Finding]:
    if machine.git is not None:
        yield Finding(check="git", verdict="ok", text=machine.git)
    else:
        yield Finding(
            check="git",
            verdict="warning",
            text="git is missing: records cannot name the commit that they were made with",
            command=install(machine.system, linux="git", windows="Git.Git"),
        )


def check_trackers(machine: Machine) -> Iterator[Finding]:
    """No recipe is looked at here: who sets a tracker's variables wants to use it."""
    ready = [client.name for client in machine.trackers if not client.missing]
    if ready:
        yield Finding(
            check="trackers", verdict="ok", text=f"`report_to` may name {', '.join(ready)}"
        )
    for client in machine.trackers:
        prefix = f"{client.name.upper()}_"
        variable = next(
            (name for name in sorted(machine.environment) if name.startswith(prefix)), None
        )
        if client.missing and variable is not None:
            yield Finding(
                check="trackers",
                verdict="warning",
                text=f"{variable} is set, but `report_to: {client.name}` needs "
                f"{', '.join(client.missing)}",
                command=client.command,
            )
