"""`bakeoff eval MODEL` and `bakeoff eval init`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from bakeoff.base.errors import UserError
from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, RunsDir, make_workspace

_ASK = "ask"

if TYPE_CHECKING:
    from bakeoff.runner.evaluation import Adapter
    from bakeoff.runner.study import StudyOutcome
    from bakeoff.runner.workspace import Workspace


class ModelOrCommand(TyperGroup):
    """What is no command is a model: `bakeoff eval MODEL` needs no word in between."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_ASK, *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=ModelOrCommand,
    no_args_is_help=True,
    help="Score a model without a recipe: `bakeoff eval MODEL --tasks gsm8k`.",
)


@commands.command(_ASK)
def ask(  # noqa: PLR0913, PLR0917 - the options of a command
    model: Annotated[str, typer.Argument(help="A hub's id, a folder, or builtin:NAME.")],
    adapter: Annotated[
        str | None,
        typer.Option(help="A folder with an adapter or a full model, or a training's run id."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="Tasks, groups or tags of the harness; `data` asks the rows of --data."),
    ] = None,
    num_fewshot: Annotated[str, typer.Option(help="Worked examples, such as 0,1,5.")] = "0",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many items of each task.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows: those of the task `data`, or in place of a hub's for others."),
    ] = None,
    include_path: Annotated[
        Path | None, typer.Option(help="Folder with task files of your own.", file_okay=False)
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What generates: hf, builtin or vllm.")] = None,
    how: Annotated[str | None, typer.Option("--ask", help="raw, chat, or both: raw,chat.")] = None,
    system: Annotated[
        str | None, typer.Option(help="System message; the model is asked in a chat.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; what the task says by default.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Above 0: answers are drawn at random.")
    ] = None,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Of drawn answers.")] = None,
    until: Annotated[
        list[str] | None, typer.Option(help="Text that ends an answer; repeatable.")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Questions at a time; auto: as many as fit.")
    ] = None,
    with_base: Annotated[
        bool, typer.Option("--with-base", help="Ask the model without the adapter too.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of a recipe; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the study; made of the model's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
) -> None:
    """Score a model, or what a training made of it; safe to repeat and to kill."""
    from bakeoff.runner.evaluation import find_adapter
    from bakeoff.store.runs import Store

    workspace = make_workspace(runs_dir, cache_dir)
    found = None if adapter is None else find_adapter(adapter, Store(workspace.runs_dir))
    asked = _names(tasks, data)
    settings = {
        "tasks": asked,
        "num_fewshot": _numbers(num_fewshot),
        "limit": limit,
        "engine": engine,
        "ask": how and how.split(","),
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "until": until,
        "batch_size": int(batch_size) if batch_size and batch_size.isdigit() else batch_size,
    }
    values: dict[str, Any] = {
        "name": name or _study_name(model, adapter),
        "model": {},
        # Nothing is trained: no row has to be held out of the worked examples.
        "data": {"source": "builtin:gsm-symbolic", "num_validation": 0},
        "evaluate": {key: value for key, value in settings.items() if value is not None},
    }
    if system is not None:
        values["prompt"] = {"template": "chat", "system": system}
    elif found is not None and found.prompt is not None:
        values["prompt"] = found.prompt.model_dump(mode="json")
    paths = [f"model.source={model}", *_rows(values, asked, data)]
    if include_path is not None:
        paths.append(f"evaluate.include_path={include_path.resolve()}")
    _run(values, [*paths, *(overrides or [])], found, workspace, with_base, as_json)


def _run(
    values: dict[str, Any],
    overrides: list[str],
    adapter: "Adapter | None",
    workspace: "Workspace",
    with_base: bool,
    as_json: bool,
) -> None:
    from bakeoff.bench.recipe import recipe_text
    from bakeoff.cli.progress import make_observer
    from bakeoff.recipes import make_recipe
    from bakeoff.runner.evaluation import prepare_evaluation
    from bakeoff.runner.progress import steps_done_before
    from bakeoff.runner.study import StudyRunner

    tree = make_recipe(values, overrides)
    tree = replace(tree, text=recipe_text(tree, "what `bakeoff eval` was asked for"))
    study = prepare_evaluation(
        tree, adapter=adapter, with_base=with_base, cache_dir=workspace.cache_dir
    )
    done = steps_done_before(study, workspace)
    with make_observer(err(), study.plan, done) as observer:
        outcome = StudyRunner(study, workspace, observer).run()
    if as_json:
        print_json([record.model_dump(mode="json") for record in outcome.records])
    else:
        _show(study.plan.study, outcome, workspace)
    raise typer.Exit(0 if outcome.is_whole else 1)


def _show(study: str, outcome: "StudyOutcome", workspace: "Workspace") -> None:
    from bakeoff.cli.eval_view import evaluations_table
    from bakeoff.cli.summary import print_outcome, print_report_paths, write_study_report
    from bakeoff.compare.tables import load_all_samples, study_rows
    from bakeoff.store.runs import Store

    store = Store(workspace.runs_dir)
    records = store.records(study)
    rows = study_rows(records, load_all_samples(records, store.runs_dir))
    if rows:
        out().print(evaluations_table(rows))
    print_outcome(outcome, err())
    print_report_paths(write_study_report(store, study, None), out())


def _rows(values: dict[str, Any], asked: list[str], data: str | None) -> list[str]:
    """Where they come from: of the task `data` an override, of others entries of ``values``."""
    if data is None:
        return []
    if "data" in asked:
        return [f"data.source={data}"]
    folder = str(Path(data).expanduser().resolve())
    values["evaluate"]["task_data"] = dict.fromkeys(asked, folder)
    return []


def _names(tasks: str | None, data: str | None) -> list[str]:
    if tasks is not None:
        return [name.strip() for name in tasks.split(",") if name.strip()]
    if data is None:
        raise UserError(
            "nothing to ask", hint="--tasks gsm8k asks a task of the harness, --data your own rows"
        )
    return ["data"]


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--num-fewshot {text}: expected whole numbers such as 0,1,5") from error


def _study_name(model: str, adapter: str | None) -> str:
    """`eval-Qwen2.5-1.5B`, with the end of the adapter's name."""
    parts = [Path(text).name for text in (model.removeprefix("builtin:"), adapter) if text]
    text = "-".join(["eval", *parts])
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in text)


@commands.command("init")
def init(  # noqa: PLR0913, PLR0917 - the options of a command
    dataset: Annotated[str, typer.Argument(help="A file, a folder or a hub's id.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write.", dir_okay=False)
    ] = Path("task.yaml"),
    name: Annotated[
        str | None, typer.Option(help="Of the task; that of the file by default.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Of a dataset on a hub.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="With the questions.")] = None,
    answer_column: Annotated[str | None, typer.Option(help="With the answers.")] = None,
    text: Annotated[
        str, typer.Option(help="How a question is put: Jinja over `prompt`.")
    ] = "Question: {{prompt}}\\nAnswer:",
    pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression whose one group is the answer; seen by default."),
    ] = None,
    num_fewshot: Annotated[int, typer.Option(min=0, help="Worked examples by default.")] = 0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    cache_dir: CacheDir = None,
) -> None:
    """Write a task file for the harness from any dataset of questions and answers."""
    from bakeoff.base.files import write_text_atomic
    from bakeoff.cli.eval_dataset import read_dataset
    from bakeoff.evals.answer_patterns import find_pattern
    from bakeoff.evals.own_task import OwnTask, choose_columns, render_own_task

    if output.exists() and not force:
        raise UserError(f"{output} exists already", hint="name another with -o, or use --force")
    found = read_dataset(dataset, subset, make_workspace(DEFAULT_RUNS_DIR, cache_dir))
    columns = choose_columns(found.rows[0], prompt_column, answer_column)
    answers = [str(row[columns[1]]) for row in found.rows if row.get(columns[1]) is not None]
    task = OwnTask(
        name=name or output.stem,
        columns=columns,
        pattern=find_pattern(answers, pattern=pattern),
        text=text.replace("\\n", "\n"),
        num_fewshot=num_fewshot,
        max_new_tokens=max_new_tokens,
    )
    write_text_atomic(output, render_own_task(task, found.dataset, found.splits))
    folder = output.resolve().parent
    err().print(
        f"wrote {output}: questions in `{columns[0]}`, answers in `{columns[1]}`, an answer is "
        f"{task.pattern.name}\nask: bakeoff eval MODEL --tasks {task.name} --include-path {folder}",
        markup=False,
        soft_wrap=True,
    )
