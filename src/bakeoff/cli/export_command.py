"""`bakeoff export`."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import (
    DEFAULT_RUNS_DIR,
    CacheDir,
    RunsDir,
    make_workspace,
    workspace_of_study,
)
from bakeoff.cli.result_commands import AsJson, existing
from bakeoff.cli.study_commands import Overrides

if TYPE_CHECKING:
    from bakeoff.runner.export_run import Exporter


def export(  # noqa: PLR0913, PLR0917 - the options of a command
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|RECIPE",
            help="A training's id (or enough of it); a recipe, for a framework's files.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="safetensors|gguf|ollama|llamafactory|swift",
            help="Of a RUN: its model. Of a RECIPE: the framework's own files.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder, or file.gguf; made anew.", show_default=False),
    ],
    quant: Annotated[
        str,
        typer.Option(metavar="f16|bf16|q8_0|q4_k_m|...", help="Bits of a GGUF file's weights."),
    ] = "f16",
    llama_cpp: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A llama.cpp checkout of your own, instead of `bakeoff env install llamacpp`.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    overrides: Overrides = None,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Hand over what a training made (RUN), or the training itself as a framework's files."""
    from bakeoff.runner.export import frameworks
    from bakeoff.runner.export_run import TARGETS

    if to in frameworks():
        _require_recipe(what, to)
        _export_recipe(Path(what), to, output, overrides, cache_dir)
        return
    if to not in TARGETS:
        raise UserError(f"--to {to}: expected one of {', '.join([*TARGETS, *frameworks()])}")
    if Path(what).suffix in {".yaml", ".yml"}:
        raise UserError(
            f"--to {to} hands over a trained model, and {what} is a recipe",
            hint=f"`bakeoff run {what}`, then name the training; `bakeoff results` lists them",
        )
    exporter = _exporter(what, to, quant, llama_cpp, make_workspace(existing(runs_dir), cache_dir))
    facts = getattr(exporter, to)(output.resolve())
    if as_json:
        print_json({"run": exporter.model.run_id, "to": to, "path": str(output.resolve()), **facts})
        return
    for line in [f"wrote {output}{_size(facts)}", *_told(to, output, exporter, facts)]:
        out().print(line, soft_wrap=True, markup=False, highlight=False)


def _require_recipe(what: str, to: str) -> None:
    if not Path(what).is_file():
        is_name = Path(what).suffix not in {".yaml", ".yml"}
        raise UserError(
            f"--to {to} writes a recipe's training as the framework's own files; "
            f"{what} is {'no recipe' if is_name else 'not there'}",
            hint="name a recipe; a trained model goes `--to safetensors`, `gguf` or `ollama`",
        )


def _export_recipe(
    recipe: Path, to: str, output: Path, overrides: list[str] | None, cache_dir: Path | None
) -> None:
    from bakeoff.cli.progress import make_observer
    from bakeoff.runner.export import export_training
    from bakeoff.runner.prepare import prepare_study

    chosen = [*(overrides or []), f"backend={to}"]
    workspace = workspace_of_study(
        recipe, chosen, runs_dir=DEFAULT_RUNS_DIR, cache_dir=cache_dir, to_run=True
    )
    study = prepare_study(recipe, chosen, cache_dir=workspace.cache_dir)
    with make_observer(err(), study.plan, {}) as observer:
        folder = export_training(study, workspace, observer, output.resolve())
    out().print(f"wrote {folder}: read its README.md", soft_wrap=True, markup=False)


def _exporter(run: str, to: str, quant: str, llama_cpp: Path | None, workspace: Any) -> "Exporter":
    from bakeoff.report.model_card import model_card
    from bakeoff.runner.export_run import OLLAMA, SAFETENSORS, Exporter
    from bakeoff.runner.gguf_tools import QUANTS, find_tools, require_quantiser
    from bakeoff.runner.use_model import trained_model
    from bakeoff.store.runs import Store

    if quant.lower() not in QUANTS:
        raise UserError(f"--quant {quant}: expected one of {', '.join(QUANTS)}")
    store = Store(workspace.runs_dir)
    model = trained_model(store, Path(run).name)
    tools = None
    if to != SAFETENSORS:
        folders = [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
        tools = find_tools(workspace, llama_cpp=llama_cpp, search_path=folders)
        require_quantiser(tools, quant.lower(), for_ollama=to == OLLAMA)
    return Exporter(
        model=model,
        workspace=workspace,
        tools=tools,
        card=lambda form, note: model_card(model, store, form, note),
        quant=quant.lower(),
        say=lambda text: err().print(f"{text} ...", soft_wrap=True, markup=False),
    )


def _size(facts: dict[str, Any]) -> str:
    if "num_bytes" not in facts:
        return ""
    from bakeoff.compare.numbers import num_bytes

    size = num_bytes(facts["num_bytes"])
    return f": {size}, {facts['quant']}, {facts['num_tensors']} tensors"


def _told(to: str, output: Path, exporter: "Exporter", facts: dict[str, Any]) -> list[str]:
    """What was checked, and how to go on."""
    lines = []
    if "relative_difference" in facts:
        lines.append(
            "the merged model's logits are those of the model with its adapter within "
            f"{facts['relative_difference']:.1e}"
        )
    if check := facts.get("check"):
        apart = check["mean_log_probability_difference"]
        lines.append(
            "llama.cpp reads it: the same tokens, the model's own choice of word at "
            f"{check['share_of_equal_choices']:.0%} of {check['num_choices']} positions"
            + ("" if apart is None else f", log-probabilities apart by {apart:.1g} on average")
        )
        if not check["is_asked_the_same"]:
            lines.append(
                "warning: llama.cpp renders the chat template otherwise; ask in plain text"
            )
    elif to != "safetensors":
        lines.append(
            "every weight is in the file; whether llama.cpp says the same was not tried "
            "(`bakeoff env install llamacpp`)"
        )
    return lines + _next(to, output, exporter)


def _next(to: str, output: Path, exporter: "Exporter") -> list[str]:
    from bakeoff.runner.ollama import create_line

    if to == "safetensors":
        return [f"serve it: bakeoff serve {output}"]
    if to == "gguf":
        return [f"talk with it: llama-cli -m {output} --jinja, or load it in LM Studio"]
    line = create_line(output.resolve().name, exporter.left_to_ollama)
    there = "" if shutil.which("ollama") else "  (ollama is not on the path here)"
    return [f"then: cd {output} && {line}{there}"]
