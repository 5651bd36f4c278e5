"""`bakeoff serve`."""

import secrets
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.listening import listen, url_of
from bakeoff.cli.output import err
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, RunsDir, make_workspace

if TYPE_CHECKING:
    from bakeoff.runner.serve import Engine, Served, Service

ENGINES = ("transformers", "vllm")


def serve(  # noqa: PLR0913, PLR0917 - the options of a command
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL",
            help="A training's id (or enough of it), a hub's id, a folder, or builtin:NAME.",
            show_default=False,
        ),
    ],
    adapter: Annotated[
        str | None, typer.Option(help="Over a MODEL: a folder, or a training's run id.")
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="transformers|vllm", help="Whose server.")
    ] = "transformers",
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8422,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="BAKEOFF_API_KEY",
            help="Clients must know it; made and told where one is needed.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where.")] = "auto",
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer where a client names none (transformers).")
    ] = 512,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
) -> None:
    """Serve a model or what a training made of it, asked as in training, by OpenAI's protocol."""
    from bakeoff.dashboard.access import LOOPBACK
    from bakeoff.runner.serve import Service, find_served, python_of
    from bakeoff.runner.serve import serve as serve_model
    from bakeoff.store.runs import Store

    if engine not in ENGINES:
        raise UserError(f"--engine {engine}: expected one of {', '.join(ENGINES)}")
    chosen: Engine = "vllm" if engine == "vllm" else "transformers"
    if api_key is not None and (not api_key.isascii() or not api_key.isprintable() or not api_key):
        raise UserError("--api-key: expected letters, digits and signs of ASCII")
    workspace = make_workspace(runs_dir, cache_dir)
    python = python_of(chosen, workspace)  # before anything is fetched
    is_open = host not in LOOPBACK
    with listen(host, port, command="serve") as listener:
        free = listener.getsockname()[1]
    service = Service(
        engine=chosen,
        host=host,
        port=free,
        key=api_key or (secrets.token_urlsafe(24) if is_open else None),
        is_open=is_open,
        device=device,
        max_new_tokens=max_new_tokens,
    )
    served = find_served(model, adapter, Store(workspace.runs_dir), workspace, _say)
    _say(f"loading {served.name} ({engine}) ...")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's Ctrl-C
    try:
        serve_model(
            served,
            service,
            workspace,
            python=python,
            ready=lambda: _say(_welcome(served, service)),
            tell=lambda line: _say(f"  {line}"),
        )
    except KeyboardInterrupt:  # the usual way to end it
        _say("ended")


def _welcome(served: "Served", service: "Service") -> str:
    base = f"{url_of(service.host, service.port)}/v1"
    key = service.key or "none"
    return "\n".join(
        [
            f"serving {served.name} at {base}  (Ctrl-C ends it)",
            *_asked(served),
            "from Python (pip install openai):",
            "",
            "    from openai import OpenAI",
            f'    client = OpenAI(base_url="{base}", api_key="{key}")',
            '    asked = [{"role": "user", "content": "What is 2 + 3?"}]',
            f'    answer = client.chat.completions.create(model="{served.name}", messages=asked)',
            "    print(answer.choices[0].message.content)",
            "",
        ]
    )


def _asked(served: "Served") -> list[str]:
    if served.prompt is not None:
        how = "in plain text" if served.prompt.is_raw else "in a chat"
        return [f"a message is put to it as in its training: {how}"]
    return []


def _say(text: str) -> None:
    err().print(text, markup=False, soft_wrap=True)
