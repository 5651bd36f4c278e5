"""How fast the page answers over a store of thousands of runs: its real server, asked over HTTP."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bakeoff.base.errors import RunError
from bakeoff.base.process import Child, log_tail
from bakeoff.bench.machine import machine_now
from bakeoff.bench.page_store import StoreSize, make_store
from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import PageBench, PageCell

_READY_SECONDS = 600.0
LIMIT_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class PagePlan:
    size: StoreSize
    repeats: int


def run_page_bench(
    plan: PagePlan, folder: Path, workspace: Workspace, say: Callable[[str], None]
) -> PageBench:
    """Make the store if it is not there, serve it, ask for every page in turns.

    Raises:
        RunError: The server did not start, or a page answered with an error.
    """
    say(f"kept in {folder}")
    studies = make_store(folder / "runs", plan.size, say)
    before = mark_noise()
    port = _free_port()
    argv = (
        str(workspace.python), "-m", "bakeoff", "ui", "--no-browser", "--read-only",
        "--port", str(port), "--runs-dir", str(folder / "runs"),
    )  # fmt: skip
    log = folder / "ui.log"
    with Child(argv, env=workspace.environment, cwd=folder, log_path=log) as child:
        started = time.monotonic()
        _wait(child, port, log)
        first_seconds = time.monotonic() - started
        say(f"the first page after {first_seconds:.1f} s; now each page {plan.repeats} times")
        cells = tuple(_measure(plan, port, dict(_pages(studies))))
    return PageBench(
        work={
            "num_studies": len(studies),
            "num_runs": sum(len(runs) for _, runs in studies),
            "num_samples": plan.size.num_samples,
            "num_losses": plan.size.num_losses,
            "first_start_seconds": first_seconds,
        },
        machine={**machine_now(), "noise": [noise_between(before, mark_noise())]},
        cells=cells,
        limit_seconds=LIMIT_SECONDS,
    )


def _pages(studies: Sequence[tuple[str, list[str]]]) -> Iterator[tuple[str, str]]:
    """Name and address of each page, of a study in the middle."""
    name, runs = studies[len(studies) // 2]
    evals = [run for run in runs if run.startswith("eval-")]
    training = next(run for run in runs if run.startswith("train-"))
    base, one, other = evals[0], evals[1], evals[-1]
    yield "studies", "/"
    yield "studies, last page", f"/?page={max(1, len(studies) // 50)}"
    yield "studies, searched", f"/?words={name[-2:]}"
    yield "runs", "/runs"
    yield "runs, page 100", "/runs?page=100"
    yield "runs, by score", "/runs?sort=score&down=true"
    yield "runs, searched", "/runs?words=method%3Dlora+seed%3D3&state=finished"
    yield "study", f"/studies/{name}"
    yield "study, table by memory", f"/studies/{name}/table?sort=peak_bytes&down=true"
    yield "study, grid", f"/studies/{name}/pivot?down=method&across=train.learning_rate"
    yield "study, loss of 24 trainings", f"/studies/{name}/figures/loss.json"
    yield "training", f"/runs/{training}"
    yield "training, loss", f"/runs/{training}/figures/loss.json"
    yield "evaluation", f"/runs/{one}"
    yield "answers", f"/runs/{one}/answers"
    yield "answers, flips", f"/runs/{one}/answers?other={base}&which=changed"
    yield "answers, searched", f"/runs/{one}/answers?other={other}&words=third+77"
    yield "comparison of three", f"/compare?run={base}&run={one}&run={other}"
    yield "comparison, its statistics", f"/compare/scores?run={base}&run={one}&run={other}"
    yield "comparison, curves", f"/compare/figures/loss.json?run={one}&run={other}"
    yield "will it fit", "/fit"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _wait(child: Child, port: int, log: Path) -> None:
    """Until the first page: it indexes the whole store."""
    limit = time.monotonic() + _READY_SECONDS
    while time.monotonic() < limit:
        if child.wait(0.1) is not None:
            break
        try:
            _ask(port, "/")
        except OSError:
            continue
        return
    raise RunError("the page did not start", log_tail=log_tail(log))


def _measure(plan: PagePlan, port: int, pages: dict[str, str]) -> Iterator[PageCell]:
    """In turns, so that a busy moment does not fall on one page alone."""
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    sizes: dict[str, int] = {}
    for _ in range(plan.repeats):
        for name, path in pages.items():
            began = time.perf_counter()
            sizes[name] = _ask(port, path)
            seconds[name].append(time.perf_counter() - began)
    for name, path in pages.items():
        yield PageCell(
            page=name,
            path=path,
            seconds=tuple(seconds[name]),
            median_seconds=median(seconds[name]),
            num_bytes=sizes[name],
        )


def _ask(port: int, path: str) -> int:
    """Bytes of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_SECONDS)
    try:
        connection.request("GET", path, headers={"accept-language": "zh-CN"})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RunError(f"{path} answered {answer.status}", log_tail=text[-500:].decode())
    return len(text)
