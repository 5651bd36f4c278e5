"""Real evaluations of tiny models, in this process: importing the harness once is slow enough."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import tiny

from bakeoff.evals.hf import HfEngine
from bakeoff.interfaces import Inputs
from bakeoff.schema.events import Event
from bakeoff.schema.plan import EvalPlan
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.schema.record import Sample
from bakeoff.schema.results import EvalResult

STOPPED_BY_WORDS = 5
"""The row after whose answer the taught model goes on with another question."""


@dataclass(frozen=True)
class Outcome:
    run_dir: Path
    result: EvalResult
    samples: list[Sample]
    events: list[Event]

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if event.kind == "warning"]

    def score(self, name: str) -> float:
        return next(score.value for score in self.result.scores if score.filter == name)


def make_plan(**changes) -> EvalPlan:
    return EvalPlan(
        **{
            "id": "eval",
            "model_id": "model",
            "train_id": None,
            "data_id": "data",
            "prompt": PromptSpec(),
            "task": "data",
            "num_fewshot": 0,
            "limit": None,
            "max_new_tokens": 32,
            "batch_size": 4,
            "engine": "hf",
            "precision": "fp32",
            "device": "cpu",
            "seed": 1234,
            "axes": {},
            **changes,
        }
    )


def write_job(run_dir: Path, plan: EvalPlan, inputs: Inputs):
    """Write the files of the launch, as the runner does, and give the launch."""
    launch = HfEngine().render(plan, inputs, run_dir)
    for name, text in launch.files.items():
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / name).write_text(text, encoding="utf-8")
    return launch


def start(run_dir: Path, plan: EvalPlan, inputs: Inputs) -> subprocess.Popen:
    """The evaluation in processes of its own, which go on in a folder where others were ended."""
    launch = write_job(run_dir, plan, inputs)
    with (run_dir / "log.txt").open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            launch.argv, cwd=run_dir, env={**os.environ, **launch.env, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def read_outcome(run_dir: Path) -> Outcome:
    lines = (run_dir / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return Outcome(
        run_dir=run_dir,
        result=HfEngine().read_result(run_dir),
        samples=[Sample.model_validate_json(line) for line in lines],
        events=list(HfEngine().read_events(run_dir)),
    )


def canonical(rows: list[dict[str, str]]) -> str:
    """Lines as the data step writes them, with GSM8K's own columns beside ours."""
    return "".join(
        json.dumps(
            {
                "id": str(index),
                "prompt": row["question"],
                "response": row["answer"],
                "segments": [
                    {"text": f"Question: {row['question']}\nAnswer:", "loss": False},
                    {"text": f" {row['answer']}", "loss": True},
                ],
                **row,
            },
            ensure_ascii=False,
        )
        + "\n"
        for index, row in enumerate(rows)
    )


@pytest.fixture(scope="session")
def rows_dir(tmp_path_factory) -> Path:
    """Data with 40 training and 8 test rows, in a folder whose name asks for trouble."""
    folder = tmp_path_factory.mktemp("rows") / "数据 [集] 1"
    folder.mkdir()
    (folder / "train.jsonl").write_text(canonical(tiny.rows(40)), encoding="utf-8")
    (folder / "test.jsonl").write_text(canonical(tiny.rows(8, start=100)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Sharing out the work of so small a model costs more than the work, if others compute too."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="session")
def taught_model(one_thread, tiny_model, tmp_path_factory) -> Path:
    """The tiny model after it learned the test rows by heart, except the last two."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = [
        f"Question: {row['question']}\nAnswer: {row['answer']}<|end|>"
        for row in tiny.rows(6, start=100)
    ]
    texts[STOPPED_BY_WORDS] = texts[STOPPED_BY_WORDS].replace("<|end|>", "\n\nQuestion: And")
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("taught") / "taught"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def ask(one_thread, tiny_model, rows_dir, tmp_path, monkeypatch):
    """``ask(artefact_dir, **changes of the plan)`` evaluates and gives the outcome."""
    from bakeoff.worker import evaluate

    count = 0

    def ask(
        artefact_dir: Path | None = None,
        *,
        model_dir: Path = tiny_model,
        data_dir: Path = rows_dir,
        trained_rows: Path | None = None,
        **changes,
    ) -> Outcome:
        nonlocal count
        count += 1
        run_dir = tmp_path / f"run {count}"
        run_dir.mkdir()
        inputs = Inputs(
            python=Path(sys.executable),
            model_dir=model_dir,
            data_dir=data_dir,
            artefact_dir=artefact_dir,
            trained_rows=trained_rows,
        )
        write_job(run_dir, make_plan(**changes), inputs)
        monkeypatch.chdir(run_dir)
        evaluate.main(json.loads((run_dir / "job.json").read_text(encoding="utf-8")))
        return read_outcome(run_dir)

    return ask
