"""A store with something on every page: frameworks and seeds, a failure, a search, real rows."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.compare.factory import make_train
from tests.dashboard.planned import planned_study, save_study
from tests.dashboard.searched import search_result
from tests.search.transferred import transfer_result
from tests.tiny import rows
from tests.trained import make_adapter

from bakeoff.base.files import iter_jsonl, write_json_atomic, write_jsonl
from bakeoff.base.hashing import digest_text
from bakeoff.base.locks import locked
from bakeoff.runner.process_run import lock_of
from bakeoff.schema.plan import DataStep, TrainPlan, run_name
from bakeoff.schema.results import DataManifest
from bakeoff.store.runs import Store

RECIPE = """\
name: standard
model: {model}
data: {{source: {data}, num_validation: 4, num_test: 4}}
method: [lora, full]
"""
SAID = [
    (
        "Question: Solve $x^2 - 5x + 6 = 0$ for $x > 2$.\nAnswer:",
        " Factor: $(x-2)(x-3) = 0$, so $x \\in \\{2, 3\\}$.\n"
        "\\[ x = \\frac{5 + \\sqrt{25 - 24}}{2} = \\boxed{3} \\]\n#### 3",
        "$x = 3$\n#### 3",
    ),
    (
        "Question: 小明有三个苹果，每个苹果 $5，他又买了两个。他一共花了多少钱？\nAnswer:",
        " 一共 $3 + 2 = 5$ 个苹果，花费 $5 \\times 5 = 25$ 元。\n#### 25",
        "3 + 2 = <<3+2=5>>5 个\n5 * 5 = $<<5*5=25>>25\n#### 25",
    ),
    (
        "Question: A shirt costs $15 and trousers cost $25. What do both cost?\nAnswer:",
        " $15 + $25 = $<<15+25=40>>40\n#### 40",
        "15 + 25 = $<<15+25=40>>40\n#### 40",
    ),
]


class Gallery:
    """The store, its cache, and the address of every page."""

    FAILURE = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."

    def __init__(self, folder: Path, tiny_model: Path, tiny_data: Path) -> None:
        self.runs_dir = folder / "runs"
        self.study = planned_study(self.runs_dir, backend=["builtin", "llamafactory"], seed=[0, 1])
        self._say_something()
        self._fail()
        self._write_rows(folder, tiny_model, tiny_data)
        of_study = self.runs_dir / "studies" / "standard"
        write_json_atomic(of_study / "search.json", search_result().model_dump(mode="json"))
        transferred = transfer_result(folder, tiny_model, tiny_data)
        write_json_atomic(of_study / "transfer.json", transferred.model_dump(mode="json"))
        planned_study(self.runs_dir, leave=2, name="half-done", method=["lora", "full", "freeze"])
        self._half_done = Store(self.runs_dir).study("half-done")
        self._leave_model(tiny_model)

    def _say_something(self) -> None:
        for record in self.study.records:
            if record.scores:
                path = self.runs_dir / record.run_id / "samples.jsonl"
                samples = list(iter_jsonl(path))
                for sample, (prompt, output, target) in zip(samples, SAID, strict=False):
                    sample.update(prompt=prompt, target=target, output=output)
                write_jsonl(path, samples)

    def _fail(self) -> None:
        self.study.add(
            make_train(
                "train-broken",
                status="out_of_memory",
                error=self.FAILURE,
                num_steps=40,
            )
        )

    def _leave_model(self, tiny_model: Path) -> None:
        """Of the first training, for the page that talks with it."""
        run_id = next(r.run_id for r in self.study.records if r.kind == "train")
        make_adapter(tiny_model, self.runs_dir / run_id / "artefact")
        job = {"model_dir": str(tiny_model), "trust_remote_code": False}
        write_json_atomic(self.runs_dir / run_id / "job.json", job)

    def _write_rows(self, folder: Path, tiny_model: Path, tiny_data: Path) -> None:
        """As the study's own preparation leaves them."""
        text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
        (self.runs_dir / "recipe.yaml").write_text(text, encoding="utf-8")
        plan = Store(self.runs_dir).study("standard").plan
        save_study(self.runs_dir, plan, recipe_text=text)
        step = next(step for step in plan.steps if isinstance(step, DataStep))
        prepared = folder / "cache" / "data" / step.id
        prepared.mkdir(parents=True)
        for split, found in (
            ("train", rows(40)),
            ("validation", rows(4, start=50)),
            ("test", rows(4, start=90)),
        ):
            write_jsonl(prepared / f"{split}.jsonl", [_prepared(row) for row in found])
        manifest = DataManifest(
            source="d", revision=None, digest=digest_text("data"), num_overlapping=0,
            num_rows={"train": 40, "validation": 4, "test": 4}, template_digest=digest_text("t"),
        )  # fmt: skip
        write_json_atomic(prepared / "manifest.json", manifest.model_dump(mode="json"))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """As long as the block lasts, a training of `half-done` is under way."""
        trainings = [s for s in self._half_done.plan.steps if isinstance(s, TrainPlan)]
        folders = [self.runs_dir / run_name(step) for step in trainings]
        folder = next(each for each in folders if not (each / "record.json").exists())
        steps = [
            {"kind": "step", "at": i, "step": i, "num_steps": 120, "loss": 0.4 + 1.6 * 0.95**i,
             "learning_rate": 1e-3 * (1 - i / 120), "grad_norm": 0.5 + 0.5 * 0.97**i}
            for i in range(1, 48)
        ]  # fmt: skip
        folder.mkdir(exist_ok=True)
        write_jsonl(folder / "events.jsonl", [{"kind": "phase", "at": 0, "phase": "train"}, *steps])
        log = "".join(f"step {e['step']}/120  loss {e['loss']:.3f}\n" for e in steps)
        (folder / "log.txt").write_text(log, encoding="utf-8")
        study_dir = self.runs_dir / "studies" / "half-done"
        with locked(lock_of(study_dir), print), locked(lock_of(folder), print):
            yield

    def addresses(self) -> Iterator[str]:
        """Of every page."""
        records = self.study.records
        training = next(r.run_id for r in records if r.kind == "train")
        tuned = [r.run_id for r in records if r.kind == "eval" and r.parent_run_id]
        base = next(r.run_id for r in records if r.kind == "eval" and not r.parent_run_id)
        yield from ("/", "/runs", "/studies/standard", "/studies/half-done", f"/runs/{training}")
        yield f"/runs/{training}/talk"
        yield from (
            f"/runs/{tuned[0]}",
            "/runs/train-broken",
            f"/runs/{tuned[0]}/answers?other={base}",
        )
        yield f"/compare?run={tuned[0]}&run={tuned[1]}&run={base}"
        yield from ("/compare", "/studies/standard/data", "/studies/standard/search")
        yield from ("/studies/standard/transfer", "/fit?gpu=rtx3060-12gb&method=full", "/new")
        yield from ("/new?preset=quickstart", "/nowhere")


def _prepared(row: dict[str, str]) -> dict[str, object]:
    prompt = f"Question: {row['question']}\nAnswer:"
    parts = [{"text": prompt, "loss": False}, {"text": f" {row['answer']}", "loss": True}]
    turns = [("user", row["question"]), ("assistant", row["answer"])]
    return {
        "id": digest_text(prompt),
        "context": "",
        "messages": [{"role": role, "content": text, "loss": True} for role, text in turns],
        "prompt": prompt,
        "response": row["answer"],
        "segments": parts,
    }
