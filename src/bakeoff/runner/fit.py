"""Predicts every training of a study on one device, and what to change where it does not fit."""

import time
from dataclasses import dataclass

from bakeoff.predict.advice import advise
from bakeoff.predict.claim import judge
from bakeoff.predict.device import Device
from bakeoff.predict.duration import disk_bytes, flops_per_token, padded_mean, seconds_on
from bakeoff.predict.facts import facts_of, work_of
from bakeoff.predict.memory import predict_analytic, predict_traced
from bakeoff.predict.work import Work
from bakeoff.runner.fit_inputs import folder_of, shape_of_step
from bakeoff.runner.fit_rows import (
    LargestStep,
    RowFacts,
    counted_rows,
    known_rows,
    largest_step,
)
from bakeoff.runner.fit_trace import trace_of
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import DataStep, ModelStep, TrainPlan, run_name
from bakeoff.schema.prediction import FitReport, FittedRun, ModelShape, Prediction
from bakeoff.schema.record import Record
from bakeoff.store.runs import Store


@dataclass(frozen=True)
class Options:
    """How a prediction is asked for."""

    device: Device
    may_count: bool = True
    """Whether rows may be tokenised, which takes seconds."""

    may_trace: bool = True
    """Whether steps may be traced, which takes some ten seconds each."""

    may_advise: bool = True
    claimed_bytes: int | None = None


class Fitter:
    """Predictions for the trainings of one study; nothing is fetched or started."""

    def __init__(self, study: PreparedStudy, workspace: Workspace, options: Options) -> None:
        self._study = study
        self._workspace = workspace
        self._options = options
        self._shapes: dict[str, ModelShape | None] = {}
        self._records: list[Record] | None = None

    def report(self) -> FitReport:
        """Every training of the study."""
        device = self._options.device
        trainings = [step for step in self._study.plan.steps if isinstance(step, TrainPlan)]
        return FitReport(
            study=self._study.plan.study,
            device=device.title,
            limit_bytes=device.limit_bytes,
            limit_is=device.limit_is,
            runs=tuple(self.fit(step) for step in trainings),
        )

    def fit(self, plan: TrainPlan) -> FittedRun:
        """One training: its prediction, and the changes that make it fit."""
        device = self._options.device
        cell = {name: plan.axes[name] for name in self._study.plan.axes if name in plan.axes}
        if self._shape_of(plan) is None:
            return FittedRun(
                run=run_name(plan), cell=cell, prediction=None, limit_bytes=device.limit_bytes,
                fits=None, problem=self._unknown_shape(plan),
            )  # fmt: skip
        work, prediction, factor = self._best(plan)
        limit = _limit_of_process(device, plan)
        within = round((limit or 0) / factor)
        fits = None if limit is None else prediction.needed_bytes <= limit
        wants_advice = fits is False and self._options.may_advise
        changes = advise(plan, self.predict, within) if wants_advice else ()
        claimed = self._options.claimed_bytes
        return FittedRun(
            run=run_name(plan),
            cell=cell,
            prediction=self._with_time(plan, work, prediction),
            limit_bytes=limit,
            num_processes=plan.world.num_processes,
            fits=fits,
            changes=changes,
            claim=judge(work, claimed, device.gpu) if claimed is not None else None,
        )

    def predict(self, plan: TrainPlan) -> tuple[Work, Prediction]:
        """The formulas' answer, for a training of the study or one made from it by a change."""
        work, batch = self._seen(plan)
        gpu = self._options.device.gpu
        assumptions = [batch.told]
        if gpu is not None and not gpu.has_bf16 and plan.train.precision != "fp32":
            assumptions.append(f"{gpu.title} has no bf16: set train.precision=fp32 to run there")
        found = predict_analytic(work, gpu)
        return work, found.model_copy(update={"assumptions": tuple(assumptions)})

    def work(self, plan: TrainPlan) -> Work:
        """What the formulas see of a training: its largest step.

        Raises:
            LookupError: the shape of the model is not known.
        """
        return self._seen(plan)[0]

    def _seen(self, plan: TrainPlan) -> tuple[Work, LargestStep]:
        shape = self._shape_of(plan)
        if shape is None:
            raise LookupError(self._unknown_shape(plan))
        gpu = self._options.device.gpu
        batch = self._batch(plan)
        work = work_of(plan, shape, tokens=batch.tokens, label_share=batch.label_share, gpu=gpu)
        return work, batch

    def _best(self, plan: TrainPlan) -> tuple[Work, Prediction, float]:
        """The trace's answer where there is one, and what it is of the formulas'."""
        work, analytic = self.predict(plan)
        model_dir = folder_of(self._model_step(plan), self._study, self._workspace)
        # A trace is of one process that holds everything.
        may_trace = self._options.may_trace and plan.world.num_processes == 1
        if not may_trace or model_dir is None:
            return work, analytic, 1.0
        gpu = self._options.device.gpu
        tape = trace_of(
            plan,
            self._batch(plan).rows,
            study=self._study,
            workspace=self._workspace,
            model_dir=model_dir,
            target="cpu" if gpu is None else "cuda",
        )
        if tape is None:
            return work, analytic, 1.0
        traced = predict_traced(work, gpu, tape)
        traced = traced.model_copy(update={"assumptions": analytic.assumptions})
        return work, traced, traced.needed_bytes / analytic.needed_bytes

    def _batch(self, plan: TrainPlan) -> LargestStep:
        packs = facts_of(plan.backend).packs_rows and plan.train.precision != "bf16-mixed"
        return largest_step(plan, self._rows(plan), packs=packs)

    def _shape_of(self, plan: TrainPlan) -> ModelShape | None:
        if plan.model_id not in self._shapes:
            step = self._model_step(plan)
            self._shapes[plan.model_id] = shape_of_step(step, self._study, self._workspace)
        return self._shapes[plan.model_id]

    def _model_step(self, plan: TrainPlan) -> ModelStep:
        steps = self._study.plan.steps
        return next(s for s in steps if isinstance(s, ModelStep) and s.id == plan.model_id)

    def _unknown_shape(self, plan: TrainPlan) -> str:
        source = self._model_step(plan).model.source
        return (
            f"the shape of {source} is not known: it is not on disk, not in the table of "
            f"well-known models, or no plain decoder (`bakeoff model fetch {source}` brings it)"
        )

    def _rows(self, plan: TrainPlan) -> RowFacts | None:
        model_dir = folder_of(self._model_step(plan), self._study, self._workspace)
        may_count = self._options.may_count
        steps = self._study.plan.steps
        data = next(s for s in steps if isinstance(s, DataStep) and s.id == plan.data_id)
        counted = counted_rows(plan, model_dir, self._workspace, may_count=may_count)
        return counted or known_rows(data, plan)

    def average(self, plan: TrainPlan, work: Work) -> Work:
        """``work`` of the plan with rows as long as they are on average, filled up where they are.

        Where rows are not known, with rows of `train.max_length` tokens.
        """
        facts = self._rows(plan)
        return work if facts is None else work.changed(tokens=round(self._mean(plan, work, facts)))

    def _mean(self, plan: TrainPlan, work: Work, facts: RowFacts) -> float:
        """Tokens of a row, with what it is filled up with on a GPU."""
        if self._options.device.gpu is None or facts_of(plan.backend).packs_rows:
            return facts.mean
        return padded_mean(facts.mean, facts.long, work.rows)

    def _with_time(self, plan: TrainPlan, work: Work, prediction: Prediction) -> Prediction:
        facts = self._rows(plan)
        seconds, source = None, None
        if facts is not None:
            mean = work.changed(tokens=round(facts.mean))
            seconds, source = self._seconds(plan, mean, facts)
        saves = plan.train.save_every > 0
        return prediction.model_copy(
            update={
                "seconds": seconds,
                "seconds_from": source,
                "disk_bytes": disk_bytes(work, saves=saves),
            }
        )

    def _seconds(self, plan: TrainPlan, work: Work, facts: RowFacts) -> tuple[float, str]:
        gpu = self._options.device.gpu
        rows = _num_rows(plan, facts)
        tokens = rows * self._mean(plan, work, facts)
        if gpu is not None:
            tokens, rows = (value / plan.world.num_processes for value in (tokens, rows))
            steps = rows / (plan.train.batch_size * plan.train.gradient_accumulation)
            what = f"if a quarter of the {gpu.bf16_tflops:g} TFLOP/s of a {gpu.title} is reached"
            return seconds_on(work, gpu, tokens, steps), what
        flops = tokens * flops_per_token(work)
        speed = self._measured_speed(plan, work)
        if speed is not None:
            return flops / speed, "finished trainings on this machine"
        return flops / _matmul_speed(), "this machine's matrix products in fp32"

    def _measured_speed(self, plan: TrainPlan, work: Work) -> float | None:
        """FLOP/s of the trainings here that are most like this one; None: there are none."""
        if self._records is None:
            self._records = [
                record
                for record in Store(self._workspace.runs_dir).records()
                if record.kind == "train" and record.measurement is not None
            ]
        speeds = [
            record.measurement.tokens_per_second * flops_per_token(work)
            for record in self._records
            if record.measurement is not None
            and record.measurement.tokens_per_second
            and record.cell.get("backend") == plan.backend
            and record.cell.get("method") == plan.method
            and record.effective.get("num_total_parameters", 0) // 10**7
            == (work.shape.parameters + work.adapter_numbers) // 10**7
        ]
        return sorted(speeds)[len(speeds) // 2] if speeds else None


def _num_rows(plan: TrainPlan, facts: RowFacts) -> float:
    """Rows that the whole training goes through, over all processes."""
    if plan.train.max_steps is not None:
        a_step = plan.train.batch_size * plan.train.gradient_accumulation
        return plan.train.max_steps * a_step * plan.world.num_processes
    return plan.train.num_epochs * facts.num_rows


def _limit_of_process(device: Device, plan: TrainPlan) -> int | None:
    """Processes on GPUs have one each; those on a CPU share its memory."""
    if device.limit_bytes is None or device.gpu is not None:
        return device.limit_bytes
    return device.limit_bytes // plan.world.devices_per_node


def _matmul_speed() -> float:
    """FLOP/s of products of 1024 x 1024 fp32 matrices, the best of three."""
    import numpy as np  # noqa: PLC0415

    size = 1024
    left = np.ones((size, size), dtype=np.float32)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        np.matmul(left, left)
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best
