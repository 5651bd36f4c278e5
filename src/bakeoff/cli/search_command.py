"""`bakeoff search`."""

from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides, RecipePath

if TYPE_CHECKING:
    from bakeoff.search.prepare import PreparedSearch


def search(
    recipe: RecipePath,
    overrides: Overrides = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="So many trials; the recipe's `search.budget.runs` by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Search hyper-parameters within a budget, and try the best again with further seeds.

    Safe to repeat and to kill: it goes on where it was.
    """
    from bakeoff.cli.search_view import SearchView, search_summary
    from bakeoff.cli.summary import print_report_paths, print_trackers, write_study_report
    from bakeoff.search.prepare import prepare_search
    from bakeoff.search.run import SearchRunner
    from bakeoff.store.runs import Store

    chosen = [*(overrides or []), *([f"search.budget.runs={trials}"] if trials else [])]
    workspace = workspace_of_study(
        recipe, chosen, runs_dir=runs_dir, cache_dir=cache_dir, to_run=True
    )
    prepared = prepare_search(recipe, chosen, cache_dir=workspace.cache_dir)
    with SearchView(err(), prepared.spec, _num_planned(prepared)) as view:
        result = SearchRunner(
            prepared, workspace, view.observe, say=view.say, on_trial=view.trial_ended
        ).run()
    paths = write_study_report(Store(workspace.runs_dir), result.study, None)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        out().print(search_summary(result))
        print_report_paths(paths, out())
        print_trackers(result.study, workspace)
    raise typer.Exit(0 if result.recommended is not None or len(result.objective) > 1 else 1)


def _num_planned(search: "PreparedSearch") -> int | None:
    from bakeoff.search.space import grid

    if search.spec.method == "grid":
        return len(list(grid(search.space, search.tree.values)))
    return search.spec.budget.runs
