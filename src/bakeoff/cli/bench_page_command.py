"""`bakeoff bench page`."""

from typing import Annotated

import typer

from bakeoff.cli.bench_commands import AsJson, Folder, bench_folder, say
from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import CacheDir, make_workspace


def page(  # noqa: PLR0913, PLR0917 - the options of a command
    runs: Annotated[int, typer.Option(min=1, help="Runs in the store.")] = 10_000,
    samples: Annotated[int, typer.Option(min=1, help="Scored answers in the store.")] = 1_000_000,
    losses: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 200,
    repeats: Annotated[int, typer.Option(min=1, help="How often each page is asked for.")] = 9,
    as_json: AsJson = False,
    runs_dir: Folder = None,
    cache_dir: CacheDir = None,
) -> None:
    """Time every page of `bakeoff ui` over a large made-up store, asked over HTTP."""
    from bakeoff.bench.page import PagePlan, run_page_bench
    from bakeoff.bench.page_store import StoreSize
    from bakeoff.cli.bench_page_view import page_view

    folder = bench_folder(runs_dir, "page")
    folder.mkdir(parents=True, exist_ok=True)
    plan = PagePlan(
        size=StoreSize(num_runs=runs, num_samples=samples, num_losses=losses), repeats=repeats
    )
    result = run_page_bench(plan, folder, make_workspace(folder, cache_dir), say)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        out().print(page_view(result))
