"""Fine-tune with a framework: prepare its rows, run it, watch it, hand back what it made.

In go the job file, the framework's configuration and two folders; out come ``events.jsonl``,
``artefact/`` and, last, ``result.json``, all in the forms of the built-in trainer. Started again
where it was interrupted, the framework goes on from its last whole checkpoint.
"""

import contextlib
import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bakeoff.worker.batches import Order
from bakeoff.worker.deepspeed_module import import_deepspeed
from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError
from bakeoff.worker.framework_checkpoints import FrameworkCheckpoints
from bakeoff.worker.framework_config import complete
from bakeoff.worker.framework_fsdp import allow_on_cpu
from bakeoff.worker.framework_job import FrameworkJob, read_framework_job
from bakeoff.worker.framework_rows import Sequence, can_fill, sequence
from bakeoff.worker.group import Group, meet_only
from bakeoff.worker.machine import choose_device, write_environment, write_json_atomic
from bakeoff.worker.ranks import events_file, rank_here
from bakeoff.worker.rows import Rows, end_token
from bakeoff.worker.schedule import count_warmup_steps

if TYPE_CHECKING:
    from bakeoff.worker.framework_result import Facts
    from bakeoff.worker.framework_seen import Seen
    from bakeoff.worker.framework_watch import Watch

ARTEFACT = "artefact"
RESULT = "result.json"
OUTPUT_DIR = "trainer"
ROWS_FILE = "train.jsonl"
_FRAMEWORKS = {
    "llamafactory": "bakeoff.worker.framework_llamafactory",
    "swift": "bakeoff.worker.framework_swift",
}


class FrameworkModule(Protocol):
    """What a module in the table above has."""

    LEFT_BEHIND: tuple[str, ...]
    """Files and folders that are of no use once the training has finished."""

    DEALS_ROWS: bool
    """Whether its loader deals single rows to several processes; else whole passes."""

    def write_rows(self, path: Path, job: FrameworkJob, tokenizer: Any, kept: Sequence) -> None:
        """Write the rows in the framework's form."""

    def settings(self, job: FrameworkJob, run_dir: Path) -> dict[str, Any]:
        """Further keys of the configuration, which depend on the model."""

    def load(self) -> None:
        """Import the framework."""

    def run(self, config: Path, watch: Any) -> dict[str, Any]:
        """Train with the framework's own entry point; give its settings as it resolved them."""

    def save(self, model: Any, folder: Path) -> Path:
        """Called at the end of training: where the model will be when the framework has ended.

        Writes it there, unless the framework does so itself.
        """


@dataclass(frozen=True)
class Prepared:
    """What is known before the framework starts."""

    tokenizer: Any
    train: Rows
    validation: Rows
    sequence: Sequence
    num_warmup_steps: int

    @property
    def pad_token(self) -> int:
        pad = self.tokenizer.pad_token_id
        return end_token(self.tokenizer) if pad is None else int(pad)


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Train as ``job`` says, in ``run_dir``; a training that is finished stays as it is.

    Raises:
        JobError: the job cannot be done as it was asked.
    """
    settings = read_framework_job(job)
    if not settings.only_prepare and settings.spread is None:
        _choose_gpu(settings.device)
    module: FrameworkModule = importlib.import_module(_FRAMEWORKS[settings.framework])
    if not (run_dir / RESULT).exists():
        with contextlib.closing(Events(run_dir / events_file(rank_here()))) as events:
            _train(settings, module, run_dir, events)
    if not settings.only_prepare and rank_here() == 0:
        for name in (OUTPUT_DIR, ROWS_FILE, *module.LEFT_BEHIND):
            _remove(run_dir / name)


def _train(job: FrameworkJob, module: FrameworkModule, run_dir: Path, events: Events) -> None:
    group = meet_only() if job.spread is not None and not job.only_prepare else Group()
    environment = write_environment(run_dir) if group.is_main else {}
    # An export may be meant for another machine: its files say what the recipe says.
    is_cpu = job.device == "cpu" if job.only_prepare else choose_device(job.device).type == "cpu"
    # Before the phase, whose time is that of the data.
    importlib.import_module("transformers.models.auto.tokenization_auto")
    importlib.import_module("bakeoff.worker.train")
    events.phase("load_data")
    checkpoints = FrameworkCheckpoints(run_dir / OUTPUT_DIR, job.digest)
    prepared = _prepare(job, events)
    if group.is_main:
        _write_inputs(job, module, run_dir, prepared, checkpoints=checkpoints, is_cpu=is_cpu)
    if job.only_prepare:
        return
    if is_cpu and group.is_main:
        _warn_of_bf16(job, events)
    if job.spread is not None and job.spread.kind == "deepspeed":
        import_deepspeed("cpu" if is_cpu else "cuda")
    if job.spread is not None and job.spread.kind == "fsdp" and is_cpu:
        allow_on_cpu()
    group.meet("prepared")
    run = Run(job, module, run_dir, prepared, checkpoints)
    result = _run(run, group, events)
    if group.is_main:
        write_json_atomic(run_dir / RESULT, {**result, **environment})
    group.leave()


def _warn_of_bf16(job: FrameworkJob, events: Events) -> None:
    from bakeoff.worker.products import processor_has_bf16

    if job.train.precision != "fp32" and not processor_has_bf16():
        events.warning(
            f"This processor has no instructions for bf16: {job.framework} takes about twenty "
            "times as long as in fp32 (`--set train.precision=fp32`; the built-in trainer goes "
            "through fp32 by itself)."
        )


def _write_inputs(
    job: FrameworkJob,
    module: FrameworkModule,
    run_dir: Path,
    prepared: Prepared,
    *,
    checkpoints: FrameworkCheckpoints,
    is_cpu: bool,
) -> None:
    """All that the framework reads."""
    newest = checkpoints.newest()
    kept = prepared.sequence
    if module.DEALS_ROWS and job.num_processes > 1:
        kept = kept.dealt(job.num_processes)
    module.write_rows(run_dir / ROWS_FILE, job, prepared.tokenizer, kept)
    complete(
        run_dir / job.config_file,
        {
            "num_train_epochs": 1.0,
            "max_steps": prepared.sequence.num_steps,
            "warmup_steps": prepared.num_warmup_steps,
            "resume_from_checkpoint": f"{OUTPUT_DIR}/{newest[0].name}" if newest else None,
            "use_cpu": is_cpu,
            **module.settings(job, run_dir),
        },
    )


def _prepare(job: FrameworkJob, events: Events) -> Prepared:
    from bakeoff.worker.train import load_rows, load_tokenizer

    tokenizer = load_tokenizer(job)
    train, validation = load_rows(job, tokenizer, events)
    order = Order(len(train.rows), job.rows_per_step, job.seed)
    num_steps = order.count_steps(job.train.num_epochs, job.train.max_steps)
    num_portions = job.train.gradient_accumulation * job.num_processes
    fills_last = job.num_processes > 1
    if not can_fill(order, num_steps, num_portions=num_portions, fills_last=fills_last):
        events.warning(
            f"{len(train.rows)} rows do not divide evenly into steps of {job.rows_per_step}: "
            f"the last step of each epoch {'' if fills_last else 'but the very last '}is filled "
            "with rows of the next."
        )
    return Prepared(
        tokenizer,
        train,
        validation,
        sequence(
            train, order, num_steps, num_portions=num_portions, num_processes=job.num_processes
        ),
        count_warmup_steps(num_steps, job.train.warmup_ratio),
    )


@dataclass(frozen=True)
class Run:
    """What the framework is started with."""

    job: FrameworkJob
    module: FrameworkModule
    run_dir: Path
    prepared: Prepared
    checkpoints: FrameworkCheckpoints


def _run(run: Run, group: Group, events: Events) -> dict[str, Any]:
    """Start the framework and collect what it left: the result without the environment."""
    from bakeoff.worker.exchange import ExchangeWatch
    from bakeoff.worker.framework_phases import Phases
    from bakeoff.worker.framework_result import Facts, save_artefact
    from bakeoff.worker.framework_seen import Seen

    job, prepared = run.job, run.prepared
    seen = Seen(prepared.sequence, rank=group.rank, num_processes=group.num_processes)
    facts = Facts(job, prepared, seen)
    watch = _watch(run, facts, seen, events)
    watch.group = group
    if group.is_main and group.num_processes > 1:
        watch.exchange = ExchangeWatch(
            run.run_dir, num_steps=prepared.sequence.num_steps, num_processes=group.num_processes
        )
    run.module.load()
    Phases(events)
    try:
        resolved = run.module.run(run.run_dir / job.config_file, watch)
    except SystemExit as error:
        raise JobError(
            f"{job.framework} ended itself with exit code {error.code}: see the end of its log."
        ) from error
    for difference in filter(None, group.collect("difference", seen.difference)):
        seen.differs(difference)
    if not group.is_main:
        return {}
    if seen.difference is not None:
        events.warning(f"{job.framework} trained on other rows than prepared: {seen.difference}.")
    if watch.probe is not None:
        watch.probe.write(run.run_dir)
    write_json_atomic(run.run_dir / f"{job.framework}_arguments.json", resolved)
    result = facts.result()
    save_artefact(job, prepared.tokenizer, facts.saved, run.run_dir / ARTEFACT)
    return {"artefact": ARTEFACT, **result}


def _watch(run: Run, facts: "Facts", seen: "Seen", events: Events) -> "Watch":
    """The callback that the framework is given."""
    from bakeoff.worker.framework_validation import validate
    from bakeoff.worker.framework_watch import Watch
    from bakeoff.worker.probe import Probe

    job, prepared = run.job, run.prepared

    def at_end(arguments: Any, model: Any, optimizer: Any) -> None:
        facts.collect(arguments, model, optimizer)
        facts.saved = run.module.save(model, run.run_dir / OUTPUT_DIR)

    watch = Watch(
        settings=job.train,
        events=events,
        seen=seen,
        checkpoints=run.checkpoints,
        num_steps=prepared.sequence.num_steps,
        validate=lambda model, step: validate(
            model,
            prepared.validation.rows,
            batch_size=job.train.batch_size,
            pad_token=prepared.pad_token,
            step=step,
            events=events,
        ),
        at_end=at_end,
    )
    if job.probe:
        watch.probe, watch.validate = Probe(), lambda *_: None
    return watch


def _choose_gpu(device: str) -> None:
    """Show the framework one device: with several it would spread the training over them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    first = "0" if visible is None else visible.split(",")[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else first


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
