"""The environment is read here and nowhere else; what it says is passed down."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.base.hub import HubAccess
from bakeoff.runner.workspace import Workspace

RunsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        envvar="BAKEOFF_RUNS_DIR",
        help="Where results are kept.",
        file_okay=False,
        show_default=True,
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        envvar="BAKEOFF_CACHE_DIR",
        help="Where models and prepared data are kept; the user's cache folder by default.",
        file_okay=False,
    ),
]
DEFAULT_RUNS_DIR = Path("runs")


def make_workspace(runs_dir: Path, cache_dir: Path | None) -> Workspace:
    import platformdirs

    return Workspace(
        runs_dir=runs_dir.resolve(),
        cache_dir=(cache_dir or platformdirs.user_cache_path("bakeoff", appauthor=False)).resolve(),
        python=Path(sys.executable),
        environment=dict(os.environ),
        command_line=("bakeoff", *sys.argv[1:]),
        hub=HubAccess(
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            token=os.environ.get("HF_TOKEN") or None,
            offline=os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"),
        ),
    )
