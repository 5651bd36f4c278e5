"""The commands' tree, and what an error looks like to a person."""

import io
import sys
from typing import Annotated

import typer

from bakeoff import __version__
from bakeoff.base.errors import RunError, UserError
from bakeoff.cli import (
    bench_commands,
    bench_fit_command,
    bench_page_command,
    bench_simulate_command,
    cluster_commands,
    convert_command,
    data_commands,
    doctor_commands,
    env_commands,
    eval_commands,
    export_command,
    fit_command,
    join_command,
    model_commands,
    parity_command,
    recipe_commands,
    result_commands,
    samples_command,
    search_command,
    serve_command,
    simulate_command,
    study_commands,
    track_command,
    transfer_command,
    ui_command,
    use_commands,
)

EXIT_FAILED_RUN = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="bakeoff",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which framework, method and settings, on my hardware, cost what and gain what?",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bakeoff {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


app.command("init")(recipe_commands.init)
app.command("plan")(study_commands.plan)
app.command("run")(study_commands.run)
app.command("join")(join_command.join)
app.command("fit")(fit_command.fit)
app.command("simulate")(simulate_command.simulate)
app.command("parity")(parity_command.parity)
app.command("search")(search_command.search)
app.command("transfer")(transfer_command.transfer)
app.command("export")(export_command.export)
app.command("results")(result_commands.results)
app.command("compare")(result_commands.compare)
app.command("samples")(samples_command.samples)
app.command("report")(result_commands.report)
app.command("track")(track_command.track)
app.command("ui")(ui_command.ui)
app.command("chat")(use_commands.chat)
app.command("merge")(use_commands.merge)
app.command("serve")(serve_command.serve)
app.command("doctor")(doctor_commands.doctor)

data_commands.commands.command("convert")(convert_command.convert)
app.add_typer(data_commands.commands, name="data")

_recipe = typer.Typer(no_args_is_help=True, help="About recipes themselves.")
_recipe.command("schema")(recipe_commands.schema)
app.add_typer(_recipe, name="recipe")

_model = typer.Typer(no_args_is_help=True, help="Fetch and describe models.")
_model.command("fetch")(model_commands.fetch)
_model.command("info")(model_commands.info)
app.add_typer(_model, name="model")

app.add_typer(env_commands.commands, name="env")
app.add_typer(eval_commands.commands, name="eval")
app.add_typer(cluster_commands.commands, name="cluster")
bench_commands.commands.command("fit")(bench_fit_command.fit)
bench_commands.commands.command("simulate")(bench_simulate_command.simulate)
bench_commands.commands.command("page")(bench_page_command.page)
app.add_typer(bench_commands.commands, name="bench")


def main() -> None:
    """Entry point: run one command and turn what went wrong into a message and an exit code.

    Typer answers a wrong command line (2), a declined question (1) and Ctrl-C (130) itself.
    """
    for stream in (sys.stdout, sys.stderr):
        # A Chinese Windows console speaks GBK: what it cannot show must not end the study.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except UserError as error:
        _complain(str(error), error.hint)
        sys.exit(EXIT_MISTAKE)
    except RunError as error:
        _complain(f"{error}\n{error.log_tail}", None)
        sys.exit(EXIT_FAILED_RUN)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            _complain("interrupted; the same command goes on from here", None)
        raise


def _complain(message: str, hint: str | None) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), message))
    if hint:
        console.print(Text.assemble(("hint: ", "bold cyan"), hint))
