"""`bakeoff env`: list, install, check, remove and lock the environments of frameworks."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import CacheDir, default_cache_dir

if TYPE_CHECKING:
    from bakeoff.envs.child import Report
    from bakeoff.envs.uv import Uv

Name = Annotated[str, typer.Argument(help="As `bakeoff env list` shows them.", show_default=False)]
Names = Annotated[
    list[str], typer.Argument(help="As `bakeoff env list` shows them.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

commands = typer.Typer(
    no_args_is_help=True, help="The isolated, locked environments of the frameworks."
)


@commands.command("list")
def list_(cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """Which there are, which are installed, and whether they are as locked."""
    from bakeoff.cli.env_view import overview, overview_table

    rows = overview(_cache(cache_dir))
    if as_json:
        print_json(rows)
    else:
        out().print(overview_table(rows))


@commands.command()
def install(
    names: Names,
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="PATH|VERSION",
            help="Python to build on; this one, or another that fits, by default.",
        ),
    ] = None,
    torch_backend: Annotated[
        str | None,
        typer.Option(
            "--torch-backend",
            metavar="auto|cpu|cu130|...",
            help="Which build of torch, from PyTorch's own index; by default the one that the "
            "package index has (CUDA on Linux, none on Windows).",
        ),
    ] = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Make environments from their locks: whole or not at all, safe to repeat."""
    from bakeoff.envs import ENVIRONMENTS
    from bakeoff.envs.install import Installer

    made = []
    for spec in [ENVIRONMENTS.get(name) for name in names]:
        with _doing(f"install {spec.name}") as report:
            installer = Installer(
                cache_dir=_cache(cache_dir),
                uv=_uv(cache_dir),
                report=report,
                python=python,
                torch_backend=torch_backend,
            )
            installed = installer.install(spec)
        made.append({"folder": str(installed.folder), **installed.note.model_dump(mode="json")})
        if not as_json:
            out().print(str(installed.folder), markup=False, soft_wrap=True)
    if as_json:
        print_json(made)


@commands.command()
def check(
    name: Name,
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="PATH",
            help="Check this interpreter or environment instead of ours.",
        ),
    ] = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Prove one: import the framework, and train a tiny model for two steps with it."""
    from bakeoff.base.locks import locked
    from bakeoff.cli.env_view import check_view
    from bakeoff.envs.check import check
    from bakeoff.envs.installed import lock_file
    from bakeoff.envs.resolve import resolve

    cache = _cache(cache_dir)
    with (
        _doing(f"check {name}") as report,
        locked(lock_file(name, cache), lambda: report("waiting for another one")),
    ):
        environment = resolve(name, python, cache_dir=cache, base_dir=Path.cwd())
        done = check(environment, os.environ, report)
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        out().print(check_view(done), soft_wrap=True)
    raise typer.Exit(0 if done.ok else 1)


@commands.command()
def remove(names: Names, cache_dir: CacheDir = None) -> None:
    """Remove environments, those from older locks too."""
    from bakeoff.base.locks import locked
    from bakeoff.envs import ENVIRONMENTS
    from bakeoff.envs.installed import lock_file, remove

    cache = _cache(cache_dir)
    for spec in [ENVIRONMENTS.get(name) for name in names]:
        with (
            _doing(f"remove {spec.name}") as report,
            locked(lock_file(spec.name, cache), lambda: report("waiting for another one")),
        ):
            gone = remove(spec.name, cache)
        for folder in gone:
            out().print(f"removed {folder}", markup=False, soft_wrap=True)
        if not gone:
            out().print(f"{spec.name} is not installed", markup=False)


@commands.command()
def lock(
    name: Name,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions of all packages.")
    ] = False,
) -> None:
    """Resolve one anew for all systems, into this installation of bakeoff; for its developers."""
    from bakeoff.envs import ENVIRONMENTS
    from bakeoff.envs.locks import make_lock

    spec = ENVIRONMENTS.get(name)
    with _doing(f"lock {name}") as report:
        path = make_lock(spec, _uv(None), upgrade=upgrade, report=report)
    out().print(str(path), markup=False, soft_wrap=True)


def _cache(cache_dir: Path | None) -> Path:
    return (cache_dir or default_cache_dir()).resolve()


def _uv(cache_dir: Path | None) -> "Uv":
    """Its cache lies beside the environments if a place was named: links cross no disk."""
    from bakeoff.cli.package_index import with_pip_settings
    from bakeoff.envs.uv import find_uv

    own = {"UV_CACHE_DIR": str(cache_dir.resolve() / "tools" / "uv")} if cache_dir else {}
    return find_uv(with_pip_settings({**own, **os.environ}))


@contextlib.contextmanager
def _doing(what: str) -> Iterator["Report"]:
    """A spinner with the newest news on a terminal, a line for each elsewhere."""
    console = err()
    if not console.is_terminal:
        yield lambda news: console.print(f"{what}: {news}", markup=False, soft_wrap=True)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda news: bar.update(task, description=f"{what}: {news}")
