"""The environment is read here and nowhere else; what it says is passed down."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.hub_access import DEFAULT_ENDPOINT, MIRROR, MODELSCOPE, HubAccess, HubName
from bakeoff.cli.package_index import with_pip_settings

if TYPE_CHECKING:
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
StudyRunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        envvar="BAKEOFF_RUNS_DIR",
        help="Where results are kept; the recipe's `places.runs` or `runs` by default.",
        file_okay=False,
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
ALL_HUBS: tuple[HubName, ...] = ("hub", "mirror", "modelscope")


def make_workspace(runs_dir: Path, cache_dir: Path | None) -> "Workspace":
    from bakeoff.runner.workspace import Workspace

    return Workspace(
        runs_dir=runs_dir.resolve(),
        cache_dir=(cache_dir or default_cache_dir()).resolve(),
        python=Path(sys.executable),
        environment=dict(os.environ),
        installing_environment=with_pip_settings(os.environ),
        command_line=("bakeoff", *sys.argv[1:]),
        hub=hub_access(),
    )


def workspace_of_study(
    recipe: Path,
    overrides: Sequence[str],
    *,
    runs_dir: Path | None,
    cache_dir: Path | None,
    to_run: bool = False,
) -> "Workspace":
    """As the recipe says where the command line and the environment say nothing.

    Raises:
        UserError: A mistake in the recipe; if it is to be run, a place that cannot be here.
    """
    from bakeoff.runner.prepare import require_places, settings_of

    settings = settings_of(recipe, overrides)
    if to_run:
        given = {"runs": runs_dir, "cache": cache_dir, "temporary": None}
        require_places(settings, [name for name, folder in given.items() if folder is None])
    workspace = make_workspace(
        runs_dir or settings.runs or DEFAULT_RUNS_DIR, cache_dir or settings.cache
    )
    access = hub_access(
        settings.hub.order,
        mirror=settings.hub.endpoint,
        modelscope=settings.hub.modelscope_endpoint,
    )
    cache = cache_dir or settings.cache
    added = {
        **_cache_variables(cache),
        **_hub_variables(access),
    }
    # What a person set in the environment goes before what is derived here; a folder for temporary
    # files is always set there on Windows.
    environment = {**added, **workspace.environment, **_temporary_variables(settings.temporary)}
    return replace(
        workspace,
        installing_environment={
            # Beside the environments: files are linked there, which crosses no disk.
            **({"UV_CACHE_DIR": str(cache.resolve() / "tools" / "uv")} if cache else {}),
            **workspace.installing_environment,
        },
        hub=access,
        environment=environment,
        temporary_dir=settings.temporary,
        silence_limit_seconds=settings.silence_limit_seconds,
        measure=settings.measure,
        cluster=settings.cluster,
        exchange=settings.exchange,
        report_to=settings.report_to,
    )


def default_cache_dir() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("bakeoff", appauthor=False)


def hub_access(
    order: Sequence[HubName] = ALL_HUBS,
    *,
    mirror: str | None = None,
    modelscope: str | None = None,
) -> HubAccess:
    """As the environment says, with what a recipe or a command says in addition."""
    domain = os.environ.get("MODELSCOPE_DOMAIN") or None
    return HubAccess(
        endpoint=os.environ.get("HF_ENDPOINT") or None,
        token=os.environ.get("HF_TOKEN") or None,
        offline=os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"),
        order=tuple(order),
        mirror_endpoint=mirror or MIRROR,
        modelscope_endpoint=modelscope or domain or MODELSCOPE,
        modelscope_token=os.environ.get("MODELSCOPE_API_TOKEN"),
    )


def _cache_variables(cache: Path | None) -> dict[str, str]:
    """What tools put into the home folder otherwise; not HF_HOME, where the access token lies."""
    if cache is None:
        return {}
    tools = cache.resolve() / "tools"
    return {
        "HF_HUB_CACHE": str(tools / "huggingface" / "hub"),
        "HF_DATASETS_CACHE": str(tools / "huggingface" / "datasets"),
        "MODELSCOPE_CACHE": str(tools / "modelscope"),
        "TRITON_CACHE_DIR": str(tools / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(tools / "inductor"),
    }


def _temporary_variables(folder: Path | None) -> dict[str, str]:
    return {} if folder is None else dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))


def _hub_variables(access: HubAccess) -> dict[str, str]:
    """For the evaluation harness, which fetches its own tasks in the hub's way only."""
    first = next((place for place in access.places() if place.name != "modelscope"), None)
    if first is None or first.endpoint == DEFAULT_ENDPOINT:
        return {}
    return {"HF_ENDPOINT": first.endpoint}
