"""`bakeoff results`, `bakeoff compare` and `bakeoff report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, RunsDir

if TYPE_CHECKING:
    from bakeoff.schema.record import Record

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def results(
    study: Annotated[str | None, typer.Option(help="Only this study.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: AsJson = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew from the run directories.")
    ] = False,
) -> None:
    """Show what runs left behind."""
    from bakeoff.cli.record_view import records_table
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    if rebuild:
        err().print(f"index rebuilt: {store.rebuild()} records")
    records = store.records(study)
    for error in store.unreadable.values():
        err().print(f"left out: {error}", style="yellow", markup=False, soft_wrap=True)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
    elif records:
        out().print(records_table(records))
    else:
        err().print(f"no results in {runs_dir} yet", soft_wrap=True)


def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Run ids, or enough of them; the first is the baseline.")
    ],
    margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Points that do not matter: are the others as good as the baseline within them?",
        ),
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Hold the runs against published scores instead.")
    ] = False,
    reference_file: Annotated[
        Path | None,
        typer.Option(help="Published scores of your own (JSON) for --reference.", dir_okay=False),
    ] = None,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Differences between evaluations, with paired statistics; refuses what is not comparable."""
    from bakeoff.compare.references import SHIPPED, against_references, read_references
    from bakeoff.compare.runs import compare_runs
    from bakeoff.report.terminal import comparison_panel, references_panel
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    known = store.records()
    chosen = [evaluation_of(store.find(name), known) for name in runs]
    if reference or reference_file is not None:
        held = against_references(chosen, read_references(reference_file or SHIPPED))
        if as_json:
            print_json([one.model_dump(mode="json") for one in held])
        else:
            out().print(references_panel(held))
        return
    comparison = compare_runs(
        chosen,
        runs_dir=store.runs_dir,
        known=known,
        margin=None if margin is None else margin / 100,
    )
    if as_json:
        print_json(comparison.model_dump(mode="json"))
    else:
        out().print(comparison_panel(comparison))


def report(
    study: Annotated[str, typer.Argument(help="The study's name.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder; RUNS_DIR/studies/STUDY/report by default."),
    ] = None,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
) -> None:
    """Write report.md, a self-contained report.html and PNG figures."""
    from bakeoff.cli.summary import print_report_paths, write_study_report
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    print_report_paths(write_study_report(store, study, output), out())


def existing(runs_dir: Path) -> Path:
    """The folder of results, which must be there."""
    if not runs_dir.is_dir():
        raise UserError(
            f"no folder {runs_dir}",
            hint="`bakeoff run` makes it; --runs-dir names another place",
        )
    return runs_dir.resolve()


def evaluation_of(record: "Record", known: "list[Record]") -> "Record":
    """A training stands for its evaluation when it has one only."""
    if record.kind == "eval":
        return record
    scored = [other for other in known if other.parent_run_id == record.run_id]
    if len(scored) == 1:
        return scored[0]
    names = "\n  ".join(other.run_id for other in scored) or "none"
    raise UserError(
        f"{record.run_id} is a training; expected an evaluation. Evaluations of it:\n  {names}",
        hint="name the evaluation",
    )
