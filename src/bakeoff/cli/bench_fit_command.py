"""`bakeoff bench fit`."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, make_workspace

if TYPE_CHECKING:
    from bakeoff.schema.prediction import ScoredCase


def fit(  # noqa: PLR0913, PLR0917 - the options of a command
    backends: Annotated[
        str, typer.Option(help="With commas; an empty text leaves this machine out.")
    ] = "builtin,llamafactory,swift",
    methods: Annotated[
        str, typer.Option(help="`lora`, `full`, or both with a comma.")
    ] = "lora,full",
    shapes: Annotated[
        str, typer.Option(help="Rows x tokens of a pass, with commas.")
    ] = "1x256,4x128,2x384,4x256",
    model: Annotated[str, typer.Option(help="What is trained.")] = "builtin:smollm2-135m",
    published: Annotated[
        list[Path] | None,
        typer.Option(
            "--published",
            help="A table of published figures (CSV) to score as well; repeatable.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: Annotated[
        Path, typer.Option("--runs-dir", help="Finished cases here are reused.", file_okay=False)
    ] = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
) -> None:
    """Hold predictions against short trainings on this machine and against published figures."""
    from bakeoff.cli.bench_fit_view import fit_bench_view
    from bakeoff.cli.fit_observer import Lines
    from bakeoff.predict.scores import score_published, summarise
    from bakeoff.runner.fit_bench import score_case
    from bakeoff.runner.fit_cases import run_cases

    workspace = make_workspace(runs_dir, cache_dir)
    cases: list[ScoredCase] = []
    names = tuple(name for name in backends.split(",") if name)
    if names:
        observer = Lines(err())
        for case in run_cases(
            workspace,
            observer,
            model=model,
            backends=names,
            methods=tuple(methods.split(",")),
            shapes=_shapes(shapes),
        ):
            cases.extend(score_case(case, workspace))
    left_out: dict[str, int] = {}
    for path in published or []:
        with path.open(encoding="utf-8", newline="") as file:
            scored, missing = score_published(
                csv.DictReader(file), source=f"published, {path.name}"
            )
        cases.extend(scored)
        left_out |= {reason: left_out.get(reason, 0) + n for reason, n in missing.items()}
    if not cases:
        raise UserError("nothing to score", hint="name backends, or a table with --published")
    found = summarise(cases, left_out)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out().print(fit_bench_view(found))


def _shapes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        pairs = [part.split("x") for part in text.split(",")]
        return tuple((int(rows), int(tokens)) for rows, tokens in pairs)
    except ValueError as error:
        raise UserError(
            f"--shapes: expected ROWSxTOKENS with commas; got `{text}`", hint="--shapes 1x256,4x128"
        ) from error
