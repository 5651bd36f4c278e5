"""`bakeoff init` and `bakeoff recipe schema`."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json

_PACKAGE_DIR = Path(__file__).resolve().parents[1]


def init(
    preset: Annotated[str, typer.Argument(help="Which recipe to start from.")] = "quickstart",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; PRESET.yaml by default.")
    ] = None,
    list_presets: Annotated[bool, typer.Option("--list", help="Name the presets.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented starter recipe."""
    found = sorted(preset_folder().glob("*.yaml"), key=lambda path: path.stem)
    presets = {path.stem: path for path in found}
    if list_presets:
        for name, path in presets.items():
            out().print(f"{name:<20} {_first_comment(path)}", markup=False)
        return
    if preset not in presets:
        close = difflib.get_close_matches(preset, presets, n=1)
        raise UserError(
            f"no preset `{preset}`",
            hint=f"did you mean `{close[0]}`?" if close else f"known: {', '.join(presets)}",
        )
    target = output or Path(f"{preset}.yaml")
    if target.exists() and not force:
        raise UserError(f"{target} exists already", hint="name another with -o, or use --force")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(presets[preset].read_text(encoding="utf-8"), encoding="utf-8")
    err().print(
        f"wrote {target}; look with `bakeoff plan {target}`, start with `bakeoff run {target}`",
        soft_wrap=True,
    )


def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from bakeoff.planning.json_schema import recipe_json_schema

    print_json(recipe_json_schema())


def preset_folder() -> Path:
    """In an installed package the recipes lie inside it, in a checkout beside `src`."""
    packaged = _PACKAGE_DIR / "presets"
    return packaged if packaged.is_dir() else _PACKAGE_DIR.parents[1] / "examples"


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
