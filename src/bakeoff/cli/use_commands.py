"""`bakeoff chat` and `bakeoff merge`."""

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, RunsDir, make_workspace
from bakeoff.cli.result_commands import AsJson, existing

Run = Annotated[
    str,
    typer.Argument(
        help="A training, or an evaluation of its model, or enough of the id.", show_default=False
    ),
]


def chat(
    run: Run,
    base: Annotated[
        bool, typer.Option("--base", help="With the untouched model, asked in the same words.")
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest word.")] = 0.0,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
) -> None:
    """Talk with what a training made, in the terminal, asked as it was asked in training."""
    from bakeoff.runner.use_model import chat_with, trained_model
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    model = trained_model(store, run)
    workspace = make_workspace(store.runs_dir, None)
    code = chat_with(
        model, workspace, untouched=base, max_new_tokens=max_new_tokens, temperature=temperature
    )
    raise typer.Exit(code)


def merge(
    run: Run,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the model.", show_default=False)
    ],
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: AsJson = False,
) -> None:
    """Fold a training's adapter into its model: one folder that any tool reads as a checkpoint."""
    from bakeoff.runner.use_model import merge_model, trained_model
    from bakeoff.store.runs import Store

    store = Store(existing(runs_dir))
    model = trained_model(store, run)
    facts = merge_model(model, output.resolve(), make_workspace(store.runs_dir, None))
    if as_json:
        print_json({"run": model.run_id, "folder": str(output.resolve()), **facts})
        return
    out().print(
        f"wrote {output}: its logits are those of the model with its adapter within "
        f"{facts['relative_difference']:.1e}, the same next token at "
        f"{facts['share_of_equal_choices']:.0%} of the positions tried",
        soft_wrap=True,
        markup=False,
    )
