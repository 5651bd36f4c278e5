"""The largest number of rows a pass, found by training three real steps at the longest rows.

Every try is an ordinary run of the backend in a folder of its own; what was tried on this hardware
with this model and these settings is remembered.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.files import iter_jsonl, read_json, write_json_atomic, write_text_atomic
from bakeoff.base.hashing import short_id
from bakeoff.data.inspection.tokens import load_tokenizer
from bakeoff.predict.device import Device
from bakeoff.runner.execute import Executor
from bakeoff.runner.observer import Observer
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, TrainPlan
from bakeoff.schema.prediction import Probed, ProbedTry
from bakeoff.store.runs import Store

FOLDER = "fit-probe"
_NUM_STEPS = 3
_MOST_ROWS = 256


@dataclass(frozen=True)
class _Place:
    device: Device
    folder: Path


class Prober:
    """Probes the trainings of one study."""

    def __init__(
        self, study: PreparedStudy, workspace: Workspace, device: Device, observer: Observer
    ) -> None:
        if device.limit_bytes is None:
            raise UserError("the memory of this device is not known", hint="--memory 8GB")
        self._study = study
        self._workspace = workspace
        self._observer = observer
        self._place = _Place(device, workspace.runs_dir / FOLDER)
        self._executor = Executor(
            study.plan.study,
            study.base_dir,
            workspace=workspace,
            store=Store(self._place.folder),
            observer=observer,
        )

    def run(self) -> list[Probed]:
        """Every training of the study.

        Raises:
            UserError: the model, the data or an environment cannot be had.
        """
        found = []
        for step in self._study.plan.steps:
            if isinstance(step, TrainPlan):
                found.append(self._probe(step))
            elif not isinstance(step, EvalPlan):
                self._executor.bring(step)
        return found

    def _probe(self, step: TrainPlan) -> Probed:
        limit = self._place.device.limit_bytes or 0
        tries: dict[int, ProbedTry] = {}

        def fits(rows: int) -> bool:
            if rows not in tries:
                tries[rows] = self._try(step, rows, limit)
                word = "fits" if tries[rows].fits else "does not fit"
                self._observer.note(f"{step.backend} {step.method}: {rows} rows a pass: {word}")
            return tries[rows].fits

        largest = largest_that(fits, start=step.train.batch_size, most=_MOST_ROWS)
        return Probed(
            backend=step.backend,
            method=step.method,
            limit_bytes=limit,
            largest_batch_size=largest,
            tries=tuple(tries[rows] for rows in sorted(tries)),
        )

    def _try(self, step: TrainPlan, rows: int, limit: int) -> ProbedTry:
        data_id = self._longest_rows(step, rows)
        train = step.train.model_copy(
            update={
                "batch_size": rows,
                "gradient_accumulation": 1,
                "max_steps": _NUM_STEPS,
                "save_every": 0,
                "validate_every": 0,
                "warmup_ratio": 0.0,
            }
        )
        probe = step.model_copy(update={"train": train, "data_id": data_id, "axes": {}})
        content = probe.model_dump(mode="json", exclude={"id"})
        # Equal on other hardware, but not its answer.
        probe = probe.model_copy(update={"id": short_id([content, self._place.device.title])})
        known = self._place.folder / f"try-{probe.id}.json"
        if known.is_file():
            tried = ProbedTry.model_validate(read_json(known))
        else:
            record = self._executor.train(probe)
            measured = record.measurement
            tried = ProbedTry(
                batch_size=rows,
                status=record.status,
                needed_bytes=_needed(measured.model_dump() if measured else {}),
                fits=record.status == "finished",
                error=record.error,
            )
            known.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomic(known, tried.model_dump(mode="json"))
        within = tried.needed_bytes is None or tried.needed_bytes <= limit
        return tried.model_copy(update={"fits": tried.status == "finished" and within})

    def _longest_rows(self, step: TrainPlan, count: int) -> str:
        """The longest row that is trained on, ``count`` times; the id of that data."""
        source = self._workspace.data_dir(step.data_id)
        data_id = short_id(["longest", step.data_id, step.model_id, step.train.max_length, count])
        folder = self._place.folder / f"rows-{data_id}"
        row = _longest(source / "train.jsonl", step, self._executor.model_dir(step.model_id))
        lines = (json.dumps({**row, "id": f"{n}"}, ensure_ascii=False) + "\n" for n in range(count))
        write_text_atomic(folder / "train.jsonl", "".join(lines))
        write_text_atomic(folder / "validation.jsonl", "")
        manifest = read_json(source / "manifest.json")
        kept = {**manifest, "digest": data_id, "num_rows": {"train": count}}
        write_json_atomic(folder / "manifest.json", kept)
        self._executor.use_data(data_id, folder)
        return data_id


def _longest(rows: Path, step: TrainPlan, model_dir: Path) -> dict[str, Any]:
    tokenizer = load_tokenizer(model_dir)

    def length(row: dict[str, Any]) -> int:
        if tokenizer is None:
            return sum(len(segment["text"]) for segment in row["segments"])
        ids = tokenizer.row(
            row["segments"], loss_on="all", max_length=step.train.max_length, overlong="drop"
        ).token_ids
        return len(ids) if len(ids) <= step.train.max_length else 0

    return max(iter_jsonl(rows), key=length)


def largest_that(fits: Callable[[int], bool], *, start: int, most: int) -> int:
    """The largest number for which ``fits``, by doubling and then bisection; 0: not even one."""
    low, high = 0, start
    while high <= most and fits(high):
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _needed(measured: dict[str, int | None]) -> int | None:
    """What a limit on memory is about: the device's process, or what the host had to add."""
    for name in ("peak_device_process_bytes", "peak_device_reserved_bytes"):
        if measured.get(name):
            return measured[name]
    return measured.get("added_host_bytes") or measured.get("peak_host_bytes")
