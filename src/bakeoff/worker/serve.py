"""A server that speaks OpenAI's protocol: transformers' own, or vLLM's, each in its environment.

What transformers' server lacks is added in front of it: a model with its adapter unmerged under a
name of its own, a key, and a limit for answers of clients that name none (its own is 1,024 tokens,
which a model that does not end by itself always reaches).
"""

import hmac
import os
import sys
from pathlib import Path
from typing import Any

from bakeoff.worker.failures import JobError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def main(job: dict[str, Any]) -> None:
    """Do the job until somebody ends it.

    ``{"engine", "name", "model_dir", "artefact_dir", "precision", "device", "trust_remote_code",
    "prompt", "host", "port", "max_new_tokens", "is_open"}``; the key is in the environment.

    Raises:
        JobError: the engine is of a version that works otherwise.
    """
    (_vllm if job["engine"] == "vllm" else _transformers)(job)


def _transformers(job: dict[str, Any]) -> None:
    try:
        from transformers.cli.serve import Serve
        from transformers.cli.serving import model_manager, server, utils
    except ImportError as error:
        raise JobError(f"transformers' server cannot be had here: {error}") from error
    model, tokenizer = _load(job)
    _pin(model_manager.ModelManager, model, tokenizer)
    _limit_answers(utils.BaseHandler, int(job["max_new_tokens"]))
    _guard(server, os.environ.get("BAKEOFF_API_KEY"), is_open=bool(job["is_open"]))
    Serve(
        force_model=job["name"],
        device=str(model.device),
        host=job["host"],
        port=int(job["port"]),
        log_level="warning",
    )


def _load(job: dict[str, Any]) -> tuple[Any, Any]:
    from bakeoff.worker.asked_template import asked_template, end_ids
    from bakeoff.worker.lm_model import load_model_of, load_tokenizer

    trust = bool(job["trust_remote_code"])
    tokenizer = load_tokenizer(Path(job["model_dir"]), trust_remote_code=trust)
    tokenizer.chat_template = asked_template(job["prompt"], tokenizer)
    model = load_model_of(job)
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()  # the class that the server knows, the adapter still in it
    model.generation_config.eos_token_id = _merged(
        model.generation_config.eos_token_id, end_ids(tokenizer)
    )
    return model, tokenizer


def _merged(known: int | list[int] | None, more: list[int]) -> list[int] | None:
    ids = [known] if isinstance(known, int) else list(known or [])
    return [*ids, *(i for i in more if i not in ids)] or None


def _pin(manager: Any, model: Any, tokenizer: Any) -> None:
    """The model that is loaded, whatever the server would look for under its name."""
    for name in ("_load_model", "_load_processor", "process_model_name"):
        if not hasattr(manager, name):
            raise JobError(
                f"This version of transformers has no `ModelManager.{name}`: its server works "
                "otherwise. `make install` brings one that fits, `--engine vllm` needs none."
            )
    manager._load_model = lambda *_, **__: model
    manager._load_processor = lambda *_, **__: tokenizer
    manager.process_model_name = staticmethod(lambda name: name)


def _limit_answers(handler: Any, max_new_tokens: int) -> None:
    """For clients that do not say how long an answer may be."""
    original = handler._build_generation_config

    def build(self: Any, body: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        config = original(self, body, *args, **kwargs)
        if body.get("generation_config") is None:
            config.max_new_tokens = max_new_tokens
        return config

    handler._build_generation_config = build


def _guard(server: Any, key: str | None, *, is_open: bool) -> None:
    original = server.build_server

    def build(*args: Any, **kwargs: Any) -> Any:
        app = original(*args, **kwargs)
        app.add_middleware(Guard, key=key, is_open=is_open)
        return app

    server.build_server = build


class Guard:
    """ASGI middleware: nobody without the key; no foreign name for this machine (DNS rebinding)."""

    def __init__(self, app: Any, *, key: str | None, is_open: bool) -> None:
        self._app = app
        self._key = key
        self._is_open = is_open

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status = self._refusal(scope) if scope["type"] == "http" else None
        if status is None:
            await self._app(scope, receive, send)
            return
        text = {401: "expected the key of `bakeoff serve`", 421: "not served under that name"}
        body = f'{{"error": {{"message": "{text[status]}", "type": "bakeoff"}}}}'.encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Any) -> int | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not self._is_open and name.lower() not in _LOOPBACK:
            return 421
        told = headers.get(b"authorization", b"")
        if self._key is None or scope["path"] == "/health":
            return None
        return None if hmac.compare_digest(told, b"Bearer " + self._key.encode()) else 401


def _vllm(job: dict[str, Any]) -> None:
    """VLLM's own server; an adapter stays beside the weights."""
    import runpy

    sys.argv = ["api_server", *_vllm_options(job)]
    if key := os.environ.pop("BAKEOFF_API_KEY", None):
        os.environ["VLLM_API_KEY"] = key
    # Not its command `vllm`, which looks for a version that the build for CPUs has not.
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")


def _vllm_options(job: dict[str, Any]) -> list[str]:
    from bakeoff.worker.asked_template import asked_template
    from bakeoff.worker.lm_model import load_tokenizer
    from bakeoff.worker.vllm_adapter import max_rank_of

    trust = bool(job["trust_remote_code"])
    template = asked_template(
        job["prompt"], load_tokenizer(Path(job["model_dir"]), trust_remote_code=trust)
    )
    options = ["--host", job["host"], "--port", str(job["port"])]
    options += ["--dtype", {"bf16": "bfloat16", "fp32": "float32"}[job["precision"]]]
    artefact = None if job["artefact_dir"] is None else Path(job["artefact_dir"])
    name = ["--served-model-name", job["name"]]
    if artefact is None:
        options = ["--model", job["model_dir"], *options, *name]
    elif (rank := max_rank_of(artefact)) is not None:
        options = ["--model", job["model_dir"], *options]
        options += ["--served-model-name", f"{job['name']}-base"]
        options += ["--enable-lora", "--max-lora-rank", str(rank)]
        options += ["--lora-modules", f"{job['name']}={artefact}"]
    else:
        # The tokenizer of the base, as everywhere: trainers change special tokens in theirs.
        options = ["--model", str(artefact), *options, *name, "--tokenizer", job["model_dir"]]
    if template is not None:
        Path("template.jinja").write_text(template, encoding="utf-8")
        options += ["--chat-template", str(Path("template.jinja").resolve())]
    return options + (["--trust-remote-code"] if trust else [])
