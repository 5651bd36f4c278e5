"""Fine-tune a causal language model with plain PyTorch, in one process or in several.

In go the job file and two folders; out come ``events.jsonl``, ``artefact/`` and, last,
``result.json``. Started again where it was interrupted, it goes on from its last checkpoint and
gives the same result as if it had never stopped. Of several processes the first writes all but its
own events, memory and log, which each does.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch

from bakeoff.worker.batches import Order, check_supervision, digest_order
from bakeoff.worker.checkpoint import Checkpoints
from bakeoff.worker.events import Events
from bakeoff.worker.exchange import ExchangeWatch
from bakeoff.worker.failures import JobError
from bakeoff.worker.group import Group, device_of_process, join, share_threads
from bakeoff.worker.loop import Loop
from bakeoff.worker.machine import (
    begin_collecting,
    choose_device,
    import_libraries,
    release_freed_memory,
    set_seeds,
    write_environment,
    write_json_atomic,
)
from bakeoff.worker.model_flops import flops_of, num_token_pairs
from bakeoff.worker.modelling import Trainee, load_trainee
from bakeoff.worker.optimizer import optimizer_name
from bakeoff.worker.preparation import prepare_rows
from bakeoff.worker.probe import Probe
from bakeoff.worker.ranks import events_file, rank_here
from bakeoff.worker.rows import Rows, end_token
from bakeoff.worker.schedule import count_warmup_steps
from bakeoff.worker.settings import TrainJob, read_job
from bakeoff.worker.spread import Spread, spread_kind
from bakeoff.worker.watch_answers import Watch, make_watch

ARTEFACT = "artefact"
RESULT = "result.json"


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Train as ``job`` says, in ``run_dir``; a training that is finished stays as it is.

    Raises:
        JobError: the job cannot be done as it was asked.
    """
    settings = read_job(job)
    checkpoints = Checkpoints(run_dir, settings.digest)
    if not (run_dir / RESULT).exists():
        with contextlib.closing(Events(run_dir / events_file(rank_here()))) as events:
            _train(settings, run_dir, events, checkpoints)
    if rank_here() == 0:
        checkpoints.remove_all()


def _train(job: TrainJob, run_dir: Path, events: Events, checkpoints: Checkpoints) -> None:
    device = choose_device(job.device)
    share_threads(device)
    environment = write_environment(run_dir) if rank_here() == 0 else {}
    device = device_of_process(device)
    set_seeds(job.seed)
    import_libraries(with_adapter=job.lora is not None)
    group = join(device)

    events.phase("load_data")
    tokenizer = load_tokenizer(job)
    train, validation = load_rows(job, tokenizer, events)

    events.phase("load_model")
    pad_token = tokenizer.pad_token_id
    if pad_token is None:
        pad_token = end_token(tokenizer)
    kind = spread_kind(job)
    trainee = load_trainee(
        job,
        [*train.examples, *validation.examples],
        pad_token=pad_token,
        device=torch.device("cpu") if kind.loads_on_host else device,
    )
    of_model = _model_facts(trainee)  # afterwards a process may hold a part of it only
    if group.rank > 0:
        set_seeds(job.seed + group.rank)  # dropout must differ between the rows of processes
    spread = kind(trainee, job, group, device)
    if kind.loads_on_host:
        release_freed_memory()  # of whole weights, of which a part is left
    loop = _build_loop(job, spread, train, validation, events=events, checkpoints=checkpoints)
    _check_first_batch(loop, end_token(tokenizer))
    loop.watch = _watch(job, tokenizer, validation, loop)
    if job.probe:
        loop.watch, loop.validation_rows = None, []
        loop.probe = Probe()
        loop.probe.watch(trainee.model, tokenizer=tokenizer, adapter=trainee.saved)
    begin_collecting()
    loop.run()
    if loop.probe is not None:
        loop.probe.write(run_dir)

    events.phase("save")
    result = {
        "artefact": ARTEFACT,
        "effective": _effective(job, loop, tokenizer, pad_token=pad_token),
        **_facts(train, loop),
        **of_model,
        **environment,
    }
    _leave_results(run_dir, spread, tokenizer, result)


def _watch(job: TrainJob, tokenizer: Any, validation: Rows, loop: Loop) -> Watch | None:
    """Of one process: of several each may hold a part of the model only."""
    if job.num_processes == 1:
        return make_watch(job.watch, tokenizer, validation.rows)
    if job.watch is not None:
        loop.events.warning("No questions are asked meanwhile of a model over several processes.")
    return None


def _leave_results(run_dir: Path, spread: Spread, tokenizer: Any, result: dict[str, Any]) -> None:
    """The artefact, and last ``result.json``: the first process writes, all help."""
    state = spread.state_to_save()
    if spread.group.is_main:
        _save_artefact(run_dir / ARTEFACT, spread.trainee, tokenizer, state)
        write_json_atomic(run_dir / RESULT, result)
    spread.group.leave()


def load_tokenizer(job: TrainJob) -> Any:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers.AutoTokenizer.from_pretrained(
        job.model_dir, local_files_only=True, trust_remote_code=job.trust_remote_code
    )


def load_rows(job: TrainJob, tokenizer: Any, events: Events) -> tuple[Rows, Rows]:
    """Training and validation rows.

    Raises:
        JobError: nothing is left to train on.
    """
    train, validation = (
        prepare_rows(
            job.data_dir / f"{split}.jsonl",
            tokenizer,
            max_length=job.train.max_length,
            overlong=job.train.overlong,
            loss_on=job.train.loss_on,
        )
        for split in ("train", "validation")
    )
    longer = f"longer than `train.max_length` ({job.train.max_length} tokens)"
    if not train.rows:
        raise JobError(
            f"There is no row to train on: {train.num_dropped} in {job.data_dir / 'train.jsonl'}, "
            f"all of them {longer}."
            if train.num_dropped
            else f"There is no row to train on in {job.data_dir / 'train.jsonl'}."
        )
    for split, rows in (("training", train), ("validation", validation)):
        if rows.num_dropped:
            events.warning(f"{rows.num_dropped} {split} rows are left out: {longer}.")
        if rows.num_truncated:
            events.warning(f"{rows.num_truncated} {split} prompts lost their beginning: {longer}.")
    return train, validation


def _build_loop(
    job: TrainJob,
    spread: Spread,
    train: Rows,
    validation: Rows,
    *,
    events: Events,
    checkpoints: Checkpoints,
) -> Loop:
    order = Order(len(train.rows), job.rows_per_step, job.seed)
    num_steps = order.count_steps(job.train.num_epochs, job.train.max_steps)
    return Loop(
        trainee=spread.trainee,
        spread=spread,
        settings=job.train,
        rows=train.rows,
        validation_rows=validation.rows,
        order=order,
        num_steps=num_steps,
        num_warmup_steps=count_warmup_steps(num_steps, job.train.warmup_ratio),
        device=spread.device,
        events=events,
        checkpoints=checkpoints,
        exchange=_exchange(checkpoints.folder, spread.group, num_steps),
    )


def _exchange(run_dir: Path, group: Group, num_steps: int) -> ExchangeWatch | None:
    if group.num_processes == 1 or not group.is_main:
        return None
    return ExchangeWatch(run_dir, num_steps=num_steps, num_processes=group.num_processes)


def _check_first_batch(loop: Loop, end: int) -> None:
    indices = next(loop.order.steps(0, 1))[: loop.settings.batch_size]
    check_supervision(loop.trainee.make_batch([loop.rows[index] for index in indices]), end)


def _facts(train: Rows, loop: Loop) -> dict[str, Any]:
    """What the training saw and needed, as `bakeoff.schema.results.TrainResult` has it."""
    return {
        "num_examples": len(train.rows),
        "num_train_tokens": train.num_tokens,
        "num_label_tokens": train.num_targets,
        "num_truncated": train.num_truncated,
        "num_dropped": train.num_dropped,
        "batch_digest": digest_order(train.rows, loop.order, loop.num_steps),
        "num_token_pairs": num_token_pairs(train.rows),
    }


def _model_facts(trainee: Trainee) -> dict[str, Any]:
    return {
        "num_total_parameters": sum(p.numel() for p in trainee.model.parameters()),
        "num_trained_parameters": sum(p.numel() for p in trainee.trained.values()),
        **flops_of(trainee.model),
    }


def _effective(job: TrainJob, loop: Loop, tokenizer: Any, *, pad_token: int) -> dict[str, Any]:
    """Every setting that was really used."""
    from dataclasses import asdict

    trainee = loop.trainee
    return {
        "method": job.method,
        "seed": job.seed,
        "device": str(loop.device),
        **asdict(job.train),
        **({f"lora_{name}": value for name, value in asdict(job.lora).items()} if job.lora else {}),
        "num_steps": loop.num_steps,
        "num_warmup_steps": loop.num_warmup_steps,
        "rows_per_step": job.rows_per_step,
        "optimizer": optimizer_name(loop.spread.optimizer),
        "weight_decay_on": "matrices and embeddings",
        "scheduler_formula": "rate(0-based step): linear warm-up from 0, then to 0 after the last",
        "loss": "mean over the label tokens of the optimiser step",
        "autocast": str(trainee.autocast).removeprefix("torch.") if trainee.autocast else None,
        "weight_dtype": str(trainee.model.dtype).removeprefix("torch."),
        **loop.spread.facts(),
        "attention": trainee.attention_path,
        "adapter": trainee.adapter_path,
        "fused": trainee.fused_parts,
        "logits_at": _logits_at(trainee),
        "products": trainee.products,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": pad_token,
        "num_processes": loop.spread.group.num_processes,
        "spread": loop.spread.name,
        "num_lanes": trainee.num_lanes,
        "num_torch_threads": torch.get_num_threads(),
    }


def _logits_at(trainee: Trainee) -> str:
    if trainee.decoder is not None:
        return "label tokens, a chunk at a time"
    return "label tokens" if trainee.can_keep_logits else "all tokens"


def _save_artefact(
    path: Path, trainee: Trainee, tokenizer: Any, state: dict[str, torch.Tensor] | None
) -> None:
    """The adapter or the model, and the tokenizer; whole or absent.

    Args:
        path: of the artefact.
        trainee: what was trained.
        tokenizer: of the model.
        state: the weights, where this process holds only a part of them.
    """
    unfinished = path.with_name(f".{path.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    options: dict[str, Any] = {}
    if trainee.saved is not trainee.model:
        options["save_embedding_layers"] = False
    if state is not None:
        options["state_dict"] = state
    trainee.saved.save_pretrained(unfinished, **options)
    tokenizer.save_pretrained(unfinished)
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)
