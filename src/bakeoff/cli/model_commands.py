"""`bakeoff model fetch` and `bakeoff model info`."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.base.hub_access import HubName
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import ALL_HUBS, DEFAULT_RUNS_DIR, CacheDir, hub_access, make_workspace

if TYPE_CHECKING:
    from bakeoff.base.hub import Report

Model = Annotated[
    str,
    typer.Argument(
        help="A hub's id (Qwen/Qwen2.5-1.5B), a folder, or builtin:smollm2-135m.",
        show_default=False,
    ),
]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch on the hub.")]
Trust = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Allow Python code and pickled weights of the model."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fetch(
    model: Model,
    revision: Revision = None,
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="hub|mirror|modelscope",
            help="Ask these only, in this order; repeatable.",
        ),
    ] = None,
    trust_remote_code: Trust = False,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a model to disk: checked, resumable, from the first place that has it."""
    from bakeoff import models
    from bakeoff.runner.worker_job import run_worker
    from bakeoff.schema.recipe_subject import ModelSpec

    workspace = make_workspace(DEFAULT_RUNS_DIR, cache_dir)
    spec = ModelSpec(source=model, revision=revision, trust_remote_code=trust_remote_code)
    with _download_bar() as report:
        access = replace(hub_access(_checked(from_) if from_ else ALL_HUBS), say=_say)
        folder, manifest = models.fetch(
            spec,
            base_dir=Path.cwd(),
            cache_dir=workspace.cache_dir,
            hub=access,
            run_worker=partial(run_worker, environment=workspace.environment),
            progress=report,
        )
    if as_json:
        print_json({"folder": str(folder), **manifest.model_dump(mode="json")})
    else:
        out().print(str(folder), markup=False, soft_wrap=True)


def info(
    model: Model,
    revision: Revision = None,
    trust_remote_code: Trust = False,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Describe a model on disk: size, template, special tokens and their traps, licence."""
    from bakeoff import models
    from bakeoff.cli.model_view import model_view
    from bakeoff.models.describe import describe_model
    from bakeoff.schema.recipe_subject import ModelSpec

    spec = ModelSpec(source=model, revision=revision, trust_remote_code=trust_remote_code)
    cache = make_workspace(DEFAULT_RUNS_DIR, cache_dir).cache_dir
    folder = models.locate(spec, base_dir=Path.cwd(), cache_dir=cache)
    if folder is None:
        pinned = f" --revision {revision}" if revision else ""
        raise UserError(
            f"the model {model} is not on disk", hint=f"`bakeoff model fetch {model}{pinned}`"
        )
    described = describe_model(folder, source=model)
    if as_json:
        print_json(described.model_dump(mode="json"))
    else:
        out().print(model_view(described))


def _checked(names: list[str]) -> tuple[HubName, ...]:
    known: dict[str, HubName] = {name: name for name in ALL_HUBS}
    for name in names:
        if name not in known:
            raise UserError(
                f"--from must be one of {', '.join(ALL_HUBS)}; got `{name}`",
                hint="several are asked in the order given: --from modelscope --from mirror",
            )
    return tuple(known[name] for name in names)


def _say(text: str) -> None:
    err().print(text, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _download_bar() -> Iterator["Report | None"]:
    """A bar of bytes on a terminal; elsewhere the lines about places are enough."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report
