"""`bakeoff data inspect`, `bakeoff data check` and `bakeoff data split`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, make_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from bakeoff.base.hub import Report

commands = typer.Typer(no_args_is_help=True, help="Look at, check and split a dataset.")

Source = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE_OR_SOURCE",
        help="A recipe (.yaml), or a file, a folder, a hub's id or builtin:NAME.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Count with this model's tokenizer (on disk); the recipe's by default."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a key of the recipe, such as data.columns.prompt=instruction; repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command("inspect")
def inspect(
    source: Source,
    rows: Annotated[int, typer.Option(help="How many rows to show.", min=0)] = 3,
    overrides: Overrides = None,
    model: Model = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = None,
) -> None:
    """Show columns, first rows, lengths, and the very tokens and labels that a training sees."""
    from bakeoff.cli.inspect_view import inspect_view
    from bakeoff.data.inspection.look import InspectSettings, inspect_rows
    from bakeoff.runner.data_subject import make_subject

    workspace = make_workspace(DEFAULT_RUNS_DIR, cache_dir)
    subject = make_subject(source, overrides or [], model, workspace)
    settings = InspectSettings(
        source=source,
        prompt=subject.recipe.prompt,
        chat=subject.chat,
        train=subject.recipe.train,
        num_shown=rows,
        tokenizer_dir=subject.model_dir,
    )
    with _reporting(err(), "reading") as report:
        found = inspect_rows(subject.opened, settings, report=report)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(inspect_view(found))


@commands.command("check")
def check(
    source: Source,
    overrides: Overrides = None,
    model: Model = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page too.", dir_okay=False)
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Find what is wrong with a dataset. Exit code 1 if there are errors, 0 if only warnings."""
    from bakeoff.base.files import write_text_atomic
    from bakeoff.cli.data_view import check_view
    from bakeoff.data.inspection.check import CheckSettings, check_rows
    from bakeoff.report.data_check_page import render_page
    from bakeoff.runner.data_subject import make_subject

    subject = make_subject(
        source, overrides or [], model, make_workspace(DEFAULT_RUNS_DIR, cache_dir)
    )
    recipe = subject.recipe
    settings = CheckSettings(
        source=source,
        prompt=recipe.prompt,
        chat=subject.chat,
        max_length=recipe.train.max_length,
        overlong=recipe.train.overlong,
        allow_overlap=recipe.data.allow_overlap,
        wants_pattern=subject.is_recipe,
        tokenizer_dir=subject.model_dir,
    )
    console = err()
    with _reporting(console, "checking") as report:
        found = check_rows(subject.opened, settings, report=report)
    if html is not None:
        write_text_atomic(html, render_page(found))
        console.print(f"wrote {html}", soft_wrap=True, markup=False)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(check_view(found))
    raise typer.Exit(1 if found.num_errors else 0)


@commands.command("split")
def split(  # noqa: PLR0913, PLR0917 - the options of a command
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file, a folder, a hub's id or builtin:NAME.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder to make.", file_okay=False, show_default=False),
    ],
    test: Annotated[
        float | None,
        typer.Option(
            help="Share (below 1) or number of rows; 0.1 unless the source has a test split, "
            "which is kept as it is.",
            min=0,
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Likewise; always out of the training rows.", min=0)
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Draws the rows.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Keep rows with one value in this column together."),
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Keep nearly equal questions together.")
    ] = False,
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another split.")] = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = None,
) -> None:
    """Split rows so that no question stands on two sides; done once, found again afterwards."""
    from bakeoff.cli.data_view import split_view
    from bakeoff.data.inspection.split import split_rows
    from bakeoff.runner.data_subject import make_source
    from bakeoff.schema.data_split import SplitSettings

    subject = make_source(source, overrides or [], make_workspace(DEFAULT_RUNS_DIR, cache_dir))
    settings = SplitSettings(
        test=test,
        validation=validation,
        seed=seed,
        group_by=group_by,
        near_duplicates=near_duplicates,
    )
    with _reporting(err(), "splitting") as report:
        record, is_reused = split_rows(
            subject.opened, settings, output, source=source, force=force, report=report
        )
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        out().print(split_view(record, output, subject.recipe.data, is_reused=is_reused))


@contextlib.contextmanager
def _reporting(console: "Console", what: str) -> "Iterator[Report]":
    """A line that tells what is going on, while the block lasts."""
    with console.status(what) as status:

        def report(done: int, _total: int, text: str) -> None:
            status.update(f"{escape(text)}: {done:,} rows" if done else escape(text))

        yield report
