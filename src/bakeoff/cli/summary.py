"""The end of a study: the table, the verdicts, the report's paths."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from bakeoff.base.files import read_json
from bakeoff.cli.output import err, out
from bakeoff.report.document import ReportPaths
from bakeoff.runner.study import StudyOutcome
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store


def print_summary(study: str, outcome: StudyOutcome, workspace: Workspace) -> None:
    """The comparison table to standard output; what was reused or failed to standard error."""
    from bakeoff.compare.frameworks import side_by_side
    from bakeoff.compare.tables import load_all_samples, study_rows
    from bakeoff.report.terminal import frameworks_lines, results_table

    store = Store(workspace.runs_dir)
    records = store.records(study)
    samples = load_all_samples(records, store.runs_dir)
    if rows := study_rows(records, samples):
        out().print(results_table(rows))
    if sides := side_by_side(records, samples):
        out().print(frameworks_lines(sides))
    paths = write_study_report(store, study, None)
    print_outcome(outcome, err())
    print_report_paths(paths, out())
    print_trackers(study, workspace)


def print_trackers(study: str, workspace: Workspace) -> None:
    """Where to look at the runs, and what could not be sent there."""
    if not workspace.report_to:
        return
    from bakeoff.runner.track.reporter import make_tracker
    from bakeoff.runner.track.reporters import read_problem, resend_command

    store = Store(workspace.runs_dir)
    for name in workspace.report_to:
        command = make_tracker(name, workspace.runs_dir, workspace.environment).look()
        out().print(Text.assemble((f"{name}  ", "bold"), command), soft_wrap=True)
        problem = read_problem(store, study, name)
        if problem is not None:
            later = f"later: {resend_command(study, name)}"
            text = f"{name} has not got everything: {problem}\n{later}"
            err().print(Text(text, "yellow"), soft_wrap=True)


def write_study_report(store: Store, study: str, output: Path | None) -> ReportPaths:
    """What suits the study: a search and a transfer experiment have reports of their own."""
    from bakeoff.report.document import write_report

    found = store.study(study)
    special = write_special_report(store, found, output)
    if special is not None:
        return special
    return write_report(
        study,
        store.records(study),
        store.runs_dir,
        output or store.study_dir(study) / "report",
        recipe_text=found.recipe_text,
        overrides=found.overrides,
        plan=found.plan,
        command_line=found.command_line,
    )


def write_special_report(store: Store, study: Study, output: Path | None) -> ReportPaths | None:
    """Of a search or a transfer experiment; None for any other study."""
    from bakeoff.report.search_report import write_search_report
    from bakeoff.report.transfer_report import write_transfer_report
    from bakeoff.schema.search import SearchResult
    from bakeoff.schema.transfer import TransferResult

    folder = store.study_dir(study.name)
    to = output or folder / "report"
    command, text = study.command_line, study.recipe_text
    if (folder / "search.json").is_file():
        search = SearchResult.model_validate(read_json(folder / "search.json"))
        return write_search_report(search, to, command, recipe_text=text)
    if (folder / "transfer.json").is_file():
        transfer = TransferResult.model_validate(read_json(folder / "transfer.json"))
        return write_transfer_report(transfer, to, command, recipe_text=text)
    return None


def print_report_paths(paths: ReportPaths, console: Console) -> None:
    console.print(Text.assemble(("report  ", "bold"), str(paths.html)), soft_wrap=True)
    console.print(f"        {paths.markdown}", soft_wrap=True)


def print_outcome(outcome: StudyOutcome, console: Console) -> None:
    """What was reused, failed or skipped."""
    if outcome.num_run == 0 and outcome.num_reused and not outcome.skipped:
        console.print("Nothing was run: every step was finished before and is reused.")
    elif outcome.num_reused:
        console.print(f"{outcome.num_run} runs done, {outcome.num_reused} reused.")
    for record in outcome.failed:
        console.print(
            Text(f"{record.run_id}: {record.status.replace('_', ' ')}", "red"), soft_wrap=True
        )
    for run_id, reason in outcome.skipped.items():
        console.print(Text(f"{run_id}: skipped, {reason}", "yellow"), soft_wrap=True)
