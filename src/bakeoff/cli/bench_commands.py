"""`bakeoff bench`."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from bakeoff.cli.output import err, out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, make_workspace

if TYPE_CHECKING:
    from bakeoff.schema.bench import Bench

commands = typer.Typer(
    no_args_is_help=True, help="The same work side by side: what each trainer and part costs."
)

Folder = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Folder of this bench; a new one by default.", file_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Repeats = Annotated[int, typer.Option(min=1, help="How often each is run, in turn (A B A B).")]
Backends = Annotated[str, typer.Option(help="With commas; the first is held against the others.")]


@commands.command("train")
def train(  # noqa: PLR0913, PLR0917 - the options of a command
    backends: Backends = "builtin,llamafactory,swift",
    method: Annotated[str, typer.Option(help="`lora`, `full`, or both with a comma.")] = "lora",
    settings: Annotated[
        str, typer.Option(help="Of `default`, `best` and `lean`, with commas.")
    ] = "default,best,lean",
    model: Annotated[str, typer.Option(help="What is trained.")] = "builtin:smollm2-135m",
    data: Annotated[
        str, typer.Option(help="A folder, a file, a hub's id or builtin:NAME.")
    ] = "builtin:gsm-symbolic",
    rows: Annotated[int, typer.Option(min=1, help="Training rows.")] = 200,
    repeats: Repeats = 1,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `mps`.")] = "auto",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a key of every cell's recipe; repeatable."
        ),
    ] = None,
    warm_up: Annotated[
        bool, typer.Option(help="One step by each before the first repeat, not counted.")
    ] = True,
    as_json: AsJson = False,
    runs_dir: Folder = None,
    cache_dir: CacheDir = None,
) -> None:
    """Train the same rows with each backend, and show what each takes in multiples of the first."""
    from bakeoff.bench.recipe import TrainBench
    from bakeoff.bench.train import TrainBenchRunner
    from bakeoff.cli.progress import make_observer
    from bakeoff.schema.bench import SETTINGS
    from bakeoff.schema.recipe_train import Method

    bench = TrainBench(
        backends=_listed("--backends", backends, None),
        settings=_listed("--settings", settings, SETTINGS),
        methods=_listed("--method", method, get_args(Method)),
        model=model,
        data=data,
        num_rows=rows,
        repeats=repeats,
        device=device,
        overrides=tuple(overrides or ()),
        warm_up=warm_up,
    )
    folder = bench_folder(runs_dir, "train")
    runner = TrainBenchRunner(
        bench,
        folder,
        make_workspace(folder, cache_dir),
        observe=lambda plan: make_observer(err(), plan, {}),
    )
    result = runner.run(say)
    _finish(result, as_json=as_json)


@commands.command("eval")
def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command
    engines: Annotated[
        str, typer.Option(help="With commas; the first is held against the others.")
    ] = "builtin,hf",
    model: Annotated[str, typer.Option(help="Who is asked.")] = "builtin:smollm2-135m",
    data: Annotated[
        str, typer.Option(help="A folder, a file, a hub's id or builtin:NAME.")
    ] = "builtin:gsm-symbolic",
    questions: Annotated[int, typer.Option(min=1, help="Test questions.")] = 64,
    num_fewshot: Annotated[int, typer.Option(min=0, help="Worked examples before each.")] = 5,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    batch_sizes: Annotated[
        str, typer.Option(help="Rows at a time, with commas; each engine's fastest counts.")
    ] = "8,16,32",
    precision: Annotated[str, typer.Option(help="`bf16` or `fp32`.")] = "bf16",
    repeats: Repeats = 1,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `mps`.")] = "auto",
    as_json: AsJson = False,
    runs_dir: Folder = None,
    cache_dir: CacheDir = None,
) -> None:
    """Ask the same questions with each engine: time, and how many answers are the same text."""
    from bakeoff.bench.evaluate import EvalBench, EvalBenchRunner
    from bakeoff.cli.progress import make_observer
    from bakeoff.evals import ENGINES

    bench = EvalBench(
        engines=_listed("--engines", engines, tuple(ENGINES.names())),
        batch_sizes=_numbers("--batch-sizes", batch_sizes),
        model=model,
        data=data,
        num_questions=questions,
        num_fewshot=num_fewshot,
        max_new_tokens=max_new_tokens,
        precision=precision,
        repeats=repeats,
        device=device,
    )
    folder = bench_folder(runs_dir, "eval")
    runner = EvalBenchRunner(
        bench,
        folder,
        make_workspace(folder, cache_dir),
        observe=lambda plan: make_observer(err(), plan, {}),
    )
    result = runner.run(say)
    _finish(result, as_json=as_json)


@commands.command("data")
def data(  # noqa: PLR0913, PLR0917 - the options of a command
    backends: Backends = "builtin,llamafactory,swift",
    rows: Annotated[int, typer.Option(min=1, help="Rows to prepare.")] = 20_000,
    model: Annotated[str, typer.Option(help="Whose tokenizer.")] = "builtin:smollm2-135m",
    source: Annotated[
        str, typer.Option("--data", help="Where the texts come from; repeated up to --rows.")
    ] = "builtin:gsm-symbolic",
    repeats: Repeats = 1,
    as_json: AsJson = False,
    runs_dir: Folder = None,
    cache_dir: CacheDir = None,
) -> None:
    """Read, check, tokenise and mask the same file with our code and with each framework's own."""
    from bakeoff.bench.data import DataBench, DataBenchRunner

    bench = DataBench(
        backends=_listed("--backends", backends, None),
        model=model,
        data=source,
        num_rows=rows,
        repeats=repeats,
    )
    folder = bench_folder(runs_dir, "data")
    result = DataBenchRunner(bench, folder, make_workspace(folder, cache_dir)).run(say)
    _finish(result, as_json=as_json)


@commands.command("sampler")
def sampler(
    gib: Annotated[str, typer.Option(help="Sizes of the process, with commas.")] = "1,4",
    seconds: Annotated[
        float, typer.Option(min=2, help="How long the idle process is watched.")
    ] = 10.0,
    peaks: Annotated[int, typer.Option(min=1, help="Short peaks of each length.")] = 6,
    as_json: AsJson = False,
    runs_dir: Folder = None,
) -> None:
    """What watching a process costs, and which short peaks of memory it misses."""
    from bakeoff.bench.sampler import SamplerPlan, run_sampler_bench
    from bakeoff.cli.bench_view import sampler_view

    plan = SamplerPlan(
        held_bytes=_sizes(gib),
        idle_seconds=seconds,
        peak_seconds=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
        num_peaks=peaks,
    )
    folder = bench_folder(runs_dir, "sampler")
    result = run_sampler_bench(plan, folder, make_workspace(folder, None), say)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        out().print(sampler_view(result))


def _finish(result: "Bench", *, as_json: bool) -> None:
    """Print a bench; exit code 1 if a cell failed."""
    from bakeoff.cli.bench_view import bench_view

    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        out().print(bench_view(result))
    raise typer.Exit(1 if any(cell.failures for cell in result.cells) else 0)


def say(text: str) -> None:
    err().print(text, style="bold", markup=False, soft_wrap=True)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from bakeoff.base.errors import UserError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"{option} {text}: expected whole numbers above 0 with commas between them")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _sizes(text: str) -> tuple[int, ...]:
    from bakeoff.base.errors import UserError

    try:
        sizes = tuple(round(float(part) * 1024**3) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) <= 0:
        raise UserError(f"--gib {text}: expected numbers above 0 with commas between them")
    return sizes


def _listed(option: str, text: str, known: tuple[str, ...] | None) -> Any:
    """The names in an option, each once.

    Raises:
        UserError: One is not known.
    """
    from bakeoff.base.errors import UserError

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if known is not None and name not in known:
            raise UserError(f"{option} {name}: expected one or more of {', '.join(known)}")
    if not names:
        raise UserError(f"{option}: expected at least one name")
    return names


def bench_folder(given: Path | None, name: str) -> Path:
    """Of this bench; by default a new one, so that everything is measured anew."""
    if given is not None:
        return given.resolve()
    runs = Path(os.environ.get("BAKEOFF_RUNS_DIR") or DEFAULT_RUNS_DIR)
    return (runs / "bench" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}").resolve()
