"""Rows become token ids and labels: our preparation against the frameworks' own code.

All read one and the same file of conversations, and must come to the same ids and labels in every
row. Batches are made during training, by all of them, and are no part of this.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bakeoff import data, models
from bakeoff.backends import BACKENDS
from bakeoff.backends.frameworks.llamafactory import DATASET_INFO
from bakeoff.base.errors import RunError
from bakeoff.base.files import iter_jsonl, write_json_atomic, write_jsonl
from bakeoff.bench.child import Measured, run_measured
from bakeoff.bench.machine import disturbances, machine_now
from bakeoff.bench.ratios import ratios
from bakeoff.bench.train import in_turn
from bakeoff.bench.work import why_not_the_same, work_of
from bakeoff.envs.child import isolated
from bakeoff.envs.resolve import resolve
from bakeoff.measure.noise import mark_noise, noise_between
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.bench import Bench, BenchCell, Setting
from bakeoff.schema.plan import Launch
from bakeoff.schema.recipe_subject import DataSpec, ModelSpec, PromptSpec
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec
from bakeoff.worker_launch import OFFLINE, worker_launch

RESULT = "bench.json"
_MAX_LENGTH = 1024
_ASKED = "Question: {question} ({index})\nAnswer:"
_SETTINGS: tuple[Setting, ...] = ("default", "best")


@dataclass(frozen=True, kw_only=True)
class DataBench:
    """What is prepared, and by whom."""

    backends: tuple[str, ...]
    model: str
    data: str
    num_rows: int
    repeats: int


@dataclass
class _Cell:
    backend: str
    setting: Setting
    num_processes: int | None
    """None: what the framework does by itself."""

    runs: list[Measured | str] = field(default_factory=list)


class DataBenchRunner:
    """One bench in one folder."""

    def __init__(self, bench: DataBench, folder: Path, workspace: Workspace) -> None:
        self._bench = bench
        self._folder = folder
        self._workspace = workspace
        self._model_dir = Path()

    def run(self, say: Callable[[str], None]) -> Bench:
        """Prepare the rows with each backend, in turn.

        Raises:
            UserError: The model, the data or an environment is not there.
        """
        pythons = {name: self._python(name) for name in self._bench.backends}
        self._model_dir = self._fetch_model()
        self._write_rows(say)
        before = mark_noise()
        cells = [
            _Cell(backend, setting, os.cpu_count() if setting == "best" else None)
            for setting in _SETTINGS
            for backend in self._bench.backends
        ]
        for repeat, cell in in_turn(cells, self._bench.repeats):
            say(f"repeat {repeat} of {self._bench.repeats}: {cell.backend}, {cell.setting}")
            cell.runs.append(self._measure(cell, cells, pythons[cell.backend], repeat))
        made = [_bench_cell(cell) for cell in cells]
        noise = noise_between(before, mark_noise())
        result = Bench(
            bench="data",
            work=work_of(made, model=self._bench.model, data=self._bench.data),
            machine={**machine_now(), "noise": [noise]},
            cells=tuple(made),
            ratios=ratios(made, why_not_the_same),
            notes=tuple(disturbances("the bench", noise)),
        )
        write_json_atomic(self._folder / RESULT, result.model_dump(mode="json"))
        return result

    def _python(self, backend: str) -> Path:
        name = BACKENDS.get(backend)().environment
        if name is None:
            return self._workspace.python
        cache_dir = self._workspace.cache_dir
        return resolve(name, None, cache_dir=cache_dir, base_dir=Path.cwd()).python

    def _fetch_model(self) -> Path:
        def convert(launch: Launch, folder: Path) -> None:
            run_worker(launch, folder, environment=self._workspace.environment)

        folder, _ = models.fetch(
            ModelSpec(source=self._bench.model),
            base_dir=Path.cwd(),
            cache_dir=self._workspace.cache_dir,
            hub=self._workspace.hub,
            run_worker=convert,
            progress=lambda *_: None,
        )
        return folder.resolve()

    def _write_rows(self, say: Callable[[str], None]) -> None:
        """The file that all of them read, and LLaMA-Factory's list beside it."""
        say(f"kept in {self._folder}; writing {self._bench.num_rows:,} rows")
        source = self._folder / "source"
        data.prepare(
            DataSpec(source=self._bench.data, num_validation=0, num_test=1),
            PromptSpec(),
            base_dir=Path.cwd(),
            cache_dir=self._workspace.cache_dir,
            output_dir=source,
            hub=self._workspace.hub,
        )
        rows = self._folder / "rows"
        rows.mkdir(parents=True, exist_ok=True)
        made = _endless(source / "train.jsonl")
        write_jsonl(rows / "train.jsonl", itertools.islice(made, self._bench.num_rows))
        tested = [_conversation("Is this row trained on?", " No.", 0)]
        write_jsonl(rows / "test.jsonl", tested)
        write_json_atomic(rows / "dataset_info.json", DATASET_INFO)

    def _measure(
        self, cell: _Cell, cells: Sequence[_Cell], python: Path, repeat: int
    ) -> Measured | str:
        if cell.backend == "builtin" and cell.setting != _SETTINGS[0]:
            first = next(c for c in cells if c.backend == cell.backend)
            return first.runs[-1]  # it has one way only, measured in this very repeat
        folder = self._folder / f"repeat-{repeat}" / f"{cell.backend}-{cell.setting}"
        try:
            if cell.backend == "builtin":
                return self._ours(folder, python)
            return self._theirs(cell, folder, python)
        except RunError as error:
            return f"{error}\n{error.log_tail}"

    def _ours(self, folder: Path, python: Path) -> Measured:
        """Two processes, one after the other: times are added, the higher peak counts."""
        environment = self._workspace.environment
        job = {
            "data": {
                "source": str(self._folder / "rows"),
                "format": "messages",
                "num_validation": 0,
            },
            "prompt": {"text": "{{prompt}}", "separator": ""},
            "output_dir": str(folder / "data"),
        }
        launch = Launch(
            argv=(str(python), "-m", "bakeoff.bench.prepare_rows", "job.json"),
            files={PurePosixPath("job.json"): json.dumps(job)},
        )
        first = run_measured(launch, folder / "rows", environment=environment)
        job = {"backend": "builtin", "training": self._training(folder / "data")}
        launch = worker_launch("bench_rows", job, python=python, env=_ENVIRONMENT)
        second = run_measured(launch, folder / "tokens", environment=environment)
        return Measured(
            result=second.result,
            start_seconds=first.start_seconds + second.start_seconds,
            seconds=first.seconds + second.seconds,
            peak_host_bytes=_most(first.peak_host_bytes, second.peak_host_bytes),
            added_host_bytes=_most(first.added_host_bytes, second.added_host_bytes),
        )

    def _training(self, data_dir: Path) -> dict[str, Any]:
        """As the built-in trainer is told it."""
        return {
            "model_dir": str(self._model_dir),
            "data_dir": str(data_dir),
            "method": "lora",
            "seed": 0,
            "device": "cpu",
            "trust_remote_code": False,
            "train": TrainSpec(max_length=_MAX_LENGTH).model_dump(mode="json"),
            "lora": LoraSpec().model_dump(mode="json"),
            "freeze": None,
        }

    def _theirs(self, cell: _Cell, folder: Path, python: Path) -> Measured:
        job = {
            "backend": cell.backend,
            "model_dir": str(self._model_dir),
            "data_dir": str(self._folder / "rows"),
            "max_length": _MAX_LENGTH,
            "num_processes": cell.num_processes,
        }
        env = {
            **_ENVIRONMENT,
            "HF_DATASETS_CACHE": str(folder / "cache" / "datasets"),
            "MODELSCOPE_CACHE": str(folder / "cache" / "modelscope"),
            "CUDA_VISIBLE_DEVICES": "",
        }
        launch = worker_launch("bench_rows", job, python=python, env=env)
        return run_measured(launch, folder, environment=isolated(self._workspace.environment))


_ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "true", **OFFLINE}


def _endless(path: Path) -> Iterator[dict[str, Any]]:
    """The rows again and again, each question with a number of its own."""
    numbers = itertools.count(1)
    while True:
        for row in iter_jsonl(path):
            yield _conversation(row["prompt"], f" {row['response']}", next(numbers))


def _conversation(question: str, answer: str, index: int) -> dict[str, Any]:
    asked = _ASKED.format(question=question, index=index)
    roles = (("user", asked), ("assistant", answer))
    return {"messages": [{"role": role, "content": text} for role, text in roles]}


def _most(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _bench_cell(cell: _Cell) -> BenchCell:
    runs = [run if isinstance(run, Measured) else None for run in cell.runs]
    done = [run for run in runs if run is not None]
    digests = {run.result["digest"] for run in done}
    facts: dict[str, Any] = {}
    if done:
        result = done[0].result
        facts = {
            "num_examples": result["num_rows"],
            "num_train_tokens": result["num_tokens"],
            "num_label_tokens": result["num_labels"],
            "packages": result["packages"],
        }
    return BenchCell(
        backend=cell.backend,
        setting=cell.setting,
        seconds=tuple(None if run is None else run.seconds for run in runs),
        start_seconds=tuple(None if run is None else run.start_seconds for run in runs),
        peak_host_bytes=tuple(None if run is None else run.peak_host_bytes for run in runs),
        added_host_bytes=tuple(None if run is None else run.added_host_bytes for run in runs),
        digest=digests.pop() if len(digests) == 1 else None,
        facts=facts,
        settings={} if cell.backend == "builtin" else {"num_processes": cell.num_processes or 1},
        why=_why(cell),
        failures=tuple(run for run in cell.runs if isinstance(run, str)),
    )


def _why(cell: _Cell) -> str:
    if cell.backend == "builtin":
        return "reading, checking, drawing and rendering; then tokens and labels"
    many = f"{cell.num_processes} processes" if cell.num_processes else "one process, its default"
    return f"its own preprocessing code, {many}"
