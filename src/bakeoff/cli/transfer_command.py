"""`bakeoff transfer`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import CacheDir, StudyRunsDir, workspace_of_study
from bakeoff.cli.study_commands import Overrides, RecipePath

if TYPE_CHECKING:
    from bakeoff.schema.transfer import TransferResult


def transfer(
    recipe: RecipePath,
    overrides: Overrides = None,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend", help="Try further rates where the best one is the last of a grid."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: StudyRunsDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Does the learning rate that is best for LoRA tell the one that is best for full fine-tuning?

    Trains a grid of rates with both, fits where each is best, and scores borrowed rates with
    further seeds. Safe to repeat and to kill.
    """
    from bakeoff.cli.progress import make_observer
    from bakeoff.cli.summary import print_report_paths, print_trackers, write_study_report
    from bakeoff.search.transfer_plan import prepare_transfer
    from bakeoff.search.transfer_run import TransferRunner
    from bakeoff.store.runs import Store

    chosen = overrides or []
    workspace = workspace_of_study(
        recipe, chosen, runs_dir=runs_dir, cache_dir=cache_dir, to_run=True
    )
    prepared = prepare_transfer(recipe, chosen, cache_dir=workspace.cache_dir)
    result = TransferRunner(
        prepared,
        workspace,
        lambda plan: make_observer(err(), plan, {}),
        say=lambda text: err().print(Text.assemble(("note: ", "cyan"), text)),
        extend=extend,
    ).run()
    paths = write_study_report(Store(workspace.runs_dir), result.study, None)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        _show(result)
        print_report_paths(paths, out())
        print_trackers(result.study, workspace)
    raise typer.Exit(0 if result.ratios else 1)


def _show(result: "TransferResult") -> None:
    from bakeoff.compare.numbers import MISSING
    from bakeoff.compare.transfer_words import context_words, rate, regret_words

    table = Table(box=None, pad_edge=False)
    for header in ("curve", "best rate", "95 % interval", "best tried", "lowest loss"):
        table.add_column(header, justify="left" if header == "curve" else "right")
    for curve in result.curves:
        interval = curve.interval
        table.add_row(
            context_words(curve),
            rate(curve.optimum) if curve.status == "ok" else curve.status,
            MISSING if interval is None else f"{rate(interval.low)} to {rate(interval.high)}",
            rate(curve.best_rate),
            MISSING if curve.lowest_loss is None else f"{curve.lowest_loss:.4f}",
        )
    out().print(table)
    out().print()
    for regret in result.regrets:
        if regret.what != "own":
            text = f"{regret.choice} ({rate(regret.rate)}) {regret_words(regret)}"
            out().print(Text(text), soft_wrap=True)
    out().print(Text(f"\n{result.sentence}", "bold"), soft_wrap=True)
    for note in result.notes:
        out().print(Text(f"note: {note}", "yellow"), soft_wrap=True)
