"""`bakeoff ui`."""

import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.listening import listen, url_of
from bakeoff.cli.output import err
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, RunsDir, workspace_of_study
from bakeoff.cli.recipe_commands import preset_folder

if TYPE_CHECKING:
    from bakeoff.dashboard.access import Access
    from bakeoff.runner.workspace import Workspace


def ui(  # noqa: PLR0913, PLR0917 - the options of a command
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own wants a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8421,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show, and start nothing.")
    ] = False,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Want a token on this machine too.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.")
    ] = False,
) -> None:
    """Open the page over the store: watch and start studies, look into their results."""
    from bakeoff.dashboard.app import make_server, warm_up
    from bakeoff.dashboard.site import Site

    runs = runs_dir.resolve()
    runs.mkdir(parents=True, exist_ok=True)

    def workspace_of(recipe: Path, overrides: Sequence[str]) -> "Workspace":
        return workspace_of_study(recipe, overrides, runs_dir=runs, cache_dir=cache_dir)

    access = _access(host, with_token=with_token)
    cache = {} if cache_dir is None else {"BAKEOFF_CACHE_DIR": str(cache_dir.resolve())}
    site = Site(
        runs_dir=runs,
        workspace_of=workspace_of,
        presets=preset_folder(),
        command=(sys.executable, "-m", "bakeoff"),
        environment={**os.environ, **cache, "NO_COLOR": "1"},
        working_dir=Path.cwd(),
        access=access,
        read_only=read_only,
    )
    listener = listen(host, port, command="ui")
    address = _address(host, listener.getsockname()[1], access.token)
    err().print(f"bakeoff is at {address}  (Ctrl-C ends it; studies go on)", soft_wrap=True)
    warm_up()
    if not no_browser and host in ("127.0.0.1", "localhost", "::1"):
        _open_browser(address)
    make_server(site).run(sockets=[listener])


def _access(host: str, *, with_token: bool) -> "Access":
    from bakeoff.dashboard.access import LOOPBACK, Access

    if host in LOOPBACK:
        return Access(token=secrets.token_urlsafe(24) if with_token else None)
    names = {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return Access(hosts=LOOPBACK | names, any_address=True, token=secrets.token_urlsafe(24))


def _address(host: str, port: int, token: str | None) -> str:
    """With the token, which is told here and nowhere else."""
    return f"{url_of(host, port)}/" + (f"?token={token}" if token else "")


def _open_browser(address: str) -> None:
    """Where there is a screen to show it on."""
    import webbrowser

    if (
        sys.platform in ("win32", "darwin")
        or os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
    ):
        webbrowser.open(address)
