"""`bakeoff data convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import ALL_HUBS, DEFAULT_RUNS_DIR, CacheDir, hub_access, make_workspace

if TYPE_CHECKING:
    from bakeoff.data.convert import Converted
    from bakeoff.schema.recipe_subject import DataSpec

FormatName = Literal["alpaca", "sharegpt", "messages", "prompt-response", "query-response", "text"]


def convert(  # noqa: PLR0913, PLR0917 - one argument for each option
    source: Annotated[
        str,
        typer.Argument(
            help="A file, a folder, a hub's id, ms::ID (ModelScope), or dataset_info.json:NAME.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write to.", show_default=False)
    ],
    to: Annotated[FormatName, typer.Option("--to", help="Format of the rows.", show_default=False)],
    framework: Annotated[
        Literal["llamafactory", "swift"] | None,
        typer.Option("--for", help="Also write what this framework needs to read the rows."),
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", help="Format of the source; seen from its rows by default.")
    ] = "auto",
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of the source: prompt=question,response=answer,..."),
    ] = None,
    tags: Annotated[
        str | None, typer.Option(help="Tags of the source: role=from,content=value,user=human,...")
    ] = None,
    to_columns: Annotated[
        str | None, typer.Option(help="Columns to write: prompt=ask,response=say,...")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Only this split; repeatable. By default train, validation and test."),
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Subset on the hub.")] = None,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch on the hub.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name in dataset_info.json; the folder's by default.")
    ] = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Go on where the format has no place for all.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files.")] = False,
    cache_dir: CacheDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a dataset in another format, UTF-8, with what a framework needs to read it."""
    from bakeoff.data.convert import convert as convert_data
    from bakeoff.data.convert import summary
    from bakeoff.data.convert_survey import Target
    from bakeoff.data.sources import Surroundings
    from bakeoff.schema.sample import Layout

    spec = _spec(source, format_name, columns, tags, subset=subset, revision=revision)
    target = Target(
        folder=output,
        name=name or output.resolve().name,
        format=to,
        framework=framework,
        layout=Layout(columns=_pairs(to_columns, "--to-columns")),
        allow_loss=allow_loss,
        overwrite=force,
    )
    with err().status("reading", spinner="line") as status:
        converted = convert_data(
            spec,
            target,
            Surroundings(
                Path.cwd(),
                make_workspace(DEFAULT_RUNS_DIR, cache_dir).cache_dir,
                hub_access(ALL_HUBS),
                lambda done, _total, text: status.update(f"{text}: {done:,}"),
            ),
            splits=tuple(split or ()),
        )
    if as_json:
        print_json(summary(converted))
    else:
        _show(converted)


def _spec(
    source: str,
    format_name: str,
    columns: str | None,
    tags: str | None,
    *,
    subset: str | None,
    revision: str | None,
) -> "DataSpec":
    from pydantic import ValidationError

    from bakeoff.planning.problems import problems_of_validation
    from bakeoff.schema.recipe_subject import DataSpec

    raw = {
        "source": source,
        "format": format_name,
        "columns": _pairs(columns, "--columns"),
        "tags": _pairs(tags, "--tags"),
        "subset": subset,
        "revision": revision,
    }
    try:
        return DataSpec.model_validate(raw)
    except ValidationError as error:
        problem = problems_of_validation(error, DataSpec, {})[0]
        option = "--" + problem.key.partition(".")[0]
        raise UserError(
            f"`{option}`: `{problem.key}`: {problem.message}", hint=problem.hint
        ) from error


def _pairs(text: str | None, option: str) -> dict[str, str]:
    pairs = {}
    for part in text.split(",") if text else ():
        role, equals, name = part.partition("=")
        if not (role.strip() and equals and name.strip()):
            raise UserError(
                f"`{option}`: expected ROLE=NAME, got `{part}`",
                hint=f"such as {option} prompt=question,response=answer",
            )
        pairs[role.strip()] = name.strip()
    return pairs


def _show(converted: "Converted") -> None:
    for path in converted.files:
        number = converted.num_rows.get(path.stem) if path.suffix == ".jsonl" else None
        rows = "" if number is None else f"  {number:,} rows"
        out().print(f"{path}{rows}", markup=False, soft_wrap=True)
    for reason, number in converted.lost.items():
        err().print(f"lost in {number:,} rows: {reason}", markup=False, soft_wrap=True)
    if converted.unread_columns:
        names = ", ".join(f"`{name}`" for name in converted.unread_columns)
        err().print(f"columns not carried over: {names}", markup=False, soft_wrap=True)
