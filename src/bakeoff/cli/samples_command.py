"""`bakeoff samples`."""

from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, RunsDir
from bakeoff.cli.result_commands import AsJson, evaluation_of, existing

if TYPE_CHECKING:
    from bakeoff.schema.record import Record


def samples(  # noqa: PLR0913, PLR0917 - the options of a command
    run: Annotated[str, typer.Argument(help="An evaluation, or enough of its id.")],
    wrong: Annotated[bool, typer.Option("--wrong", help="Only what is not right.")] = False,
    flipped_from: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Only items that this evaluation scored otherwise."),
    ] = None,
    filter_name: Annotated[
        str | None,
        typer.Option("--filter", help="What counts as right; strict-match where there is one."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 5,
    full: Annotated[bool, typer.Option("--full", help="Do not shorten long texts.")] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Show single answers: prompt, output, what each filter found, target, tokens, ending, time."""
    from bakeoff.cli.samples_view import answers_view, flips_view
    from bakeoff.compare.answers import answers, flips, score_by_filter
    from bakeoff.compare.names import name_runs
    from bakeoff.compare.samples import load_samples
    from bakeoff.schema.figures import headline
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    known = store.records()
    record = _with_scores(evaluation_of(store.find(run), known))
    own = load_samples(store.runs_dir, record)
    score = score_by_filter(record, filter_name, default=headline(record.scores))
    if flipped_from is None:
        found = answers(own, score, only_wrong=wrong)
        shown = found[: limit or None]
        if as_json:
            print_json([sample.model_dump(mode="json") for sample in shown])
        else:
            out().print(answers_view(record, score, found, shown=shown, is_full=full))
        return
    other = _with_scores(evaluation_of(store.find(flipped_from), known))
    flipped = flips(own, load_samples(store.runs_dir, other), score, only_wrong=wrong)
    kept = flipped[: limit or None]
    if as_json:
        print_json([flip.model_dump(mode="json") for flip in kept])
        return
    names = name_runs([record, other])
    pair = (names[record.run_id], names[other.run_id])
    out().print(flips_view(pair, score, flipped, shown=kept, is_full=full))


def _with_scores(record: "Record") -> "Record":
    if not record.scores:
        raise UserError(
            f"{record.run_id} has no scores: it ended as {record.status.replace('_', ' ')}",
            hint="repeat the command that started it; it goes on from the answers that are done",
        )
    return record
