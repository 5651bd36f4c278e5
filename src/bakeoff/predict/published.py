"""Published figures as trainings of this model: rows of a table that a person has, never shipped.

The table's columns say what was trained; what the programs of its sources do with that is written
here, a fact a line. Nothing is fitted to a row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.predict.facts import shards_of
from bakeoff.predict.gpus import find_gpu
from bakeoff.predict.shape import known_shape
from bakeoff.predict.work import LossPath, Shards, Work
from bakeoff.schema.prediction import Counter, Gpu

Row = Mapping[str, str]

_OWN_CODE = ("qwen-", "chatglm", "baichuan")
"""Models that brought code of their own when ms-swift's table was made, without the upcast."""

_MLP = ("gate_proj", "up_proj", "down_proj")
_QV = ("q_proj", "v_proj")
_QKV = ("q_proj", "k_proj", "v_proj", "qkv_proj")


@dataclass(frozen=True)
class PublishedCase:
    """A row, and what is predicted for it."""

    name: str
    work: Work
    gpu: Gpu
    counter: Counter
    measured_bytes: int
    is_even: bool
    """Whether the allocator is emptied often, so that rows of different lengths hardly matter."""

    is_steady: bool = False
    """Whether the figure is that between steps, not the peak."""


def case_of(row: Row) -> PublishedCase | str:
    """The training that a row is about, or why it cannot be said.

    Args:
        row: A line of a table with the columns of ``memory.csv`` or ``peft_metamath.csv``.
    """
    return _peft_result(row) if "experiment" in row else _general(row)


def _general(row: Row) -> PublishedCase | str:
    shape = known_shape(row["model"])
    tokens = _number(row["seq"])
    measured = _float(row["peak_gb"])
    if (
        shape is None
        or tokens is None
        or measured is None
        or not row["batch"].strip()
        or "short" in row["seq"]
    ):
        return "model, length, batch or figure not stated"
    counter = _counter(row["counter"])
    method = row["method"].lower()
    if counter is None or row.get("grade", "C") not in ("A", "B", "C"):
        return "no counter is named, or no measurement"
    unknown = re.search(
        r"galore|lisa|llamapro|adapter|unsloth|ia3|adaption|moe|megatron|gptq.*int8", method
    )
    if unknown or re.search(r"megatron|sequence par|colossal", row["strategy"].lower()):
        return f"the method `{row['method']}` with `{row['strategy']}` is not modelled"
    work = Work(shape=shape, rows=int(row["batch"]), tokens=tokens)
    work = _with_method(work, row, method)
    work = _with_program(work, row)
    return PublishedCase(
        name=_name(row),
        work=work,
        gpu=_gpu(row),
        counter=counter,
        measured_bytes=round(measured * 1e9),
        is_even="method_comparison" in row["source"] or _is_exact(row["seq"]),
        is_steady="after step" in row["counter"].lower(),
    )


def _with_method(work: Work, row: Row, method: str) -> Work:
    notes = (row["notes"] + " " + row["source"] + " " + method).lower()
    precision = row["precision"].lower()
    work = work.changed(
        checkpointing=row["grad_ckpt"].lower().startswith(("yes", "selective")),
        weight_bytes=4 if "fp32 params" in precision or precision.strip() == "fp32" else 2,
        compute_bytes=4 if precision.strip() == "fp32" else 2,
        repeats_keys=work.rows > 1,
    )
    work = work.changed(state_bytes=int(work.weight_bytes))
    if method.startswith("full"):
        return work.changed(trains_all=True)
    targets: tuple[str, ...] | None = _QKV
    if "mlp" in notes:
        targets = _MLP
    elif "qv" in notes or "q,v" in notes:
        targets = _QV
    elif "all" in notes.replace("all 1000", "") and (
        "all-linear" in notes or "all linear" in notes
    ):
        targets = None
    bits = 4 if "int4" in precision or "nf4" in precision or "4-bit" in precision else None
    bits = 8 if "int8" in precision else bits
    return work.changed(
        rank=_number(row["rank"]) or 8,
        targets=targets,
        quantised_bits=bits,
        is_dora="dora" in method,
    )


def _with_program(work: Work, row: Row) -> Work:
    """What the program of the row's source does."""
    source, notes = row["source"].lower(), row["notes"].lower()
    loss: LossPath = "model"
    if "benchmark.md" in source:
        # ms-swift in 2024: autocast, outputs converted to fp32 and kept for the accuracy.
        own = row["model"].lower().startswith(_OWN_CODE)
        loss = "autocast-shifted" if own else "model-shifted"
        work = work.changed(keeps_outputs=True, adapter="autocast", optimizer="foreach")
        if "flash_attn=no" in notes:
            work = work.changed(attention="eager")
    if "liger" in row["strategy"].lower():
        loss = "chunked"
    shards = _shards(row)
    state = 4 if shards.master_copy else work.state_bytes
    return work.changed(loss=loss, shards=shards, state_bytes=state)


def _shards(row: Row) -> Shards:
    text = row["strategy"].lower()
    gpus = _number(row["gpus"]) or 1
    stage = re.search(r"zero-?(\d)", text)
    if stage:
        return shards_of(f"zero{stage.group(1)}", gpus)
    if "fsdp" in text:
        return shards_of("fsdp", gpus)
    return shards_of("ddp" if "ddp" in text else "single", gpus if "ddp" in text else 1)


def _peft_result(row: Row) -> PublishedCase | str:
    """A line of PEFT's own comparison (MetaMathQA): its script empties the cache often."""
    shape = known_shape(row["model"])
    measured = _float(row["mem_max_reserved_bytes"])
    if shape is None or measured is None:
        return "model or figure not stated"
    work = Work(shape=shape, rows=int(row["batch"]), tokens=int(row["max_seq"]), repeats_keys=True)
    work = work.changed(checkpointing=row["use_gc"] == "True")
    if row["peft_type"] == "FULL":
        work = work.changed(trains_all=True)
    else:
        targets = tuple(row["targets"].split()) or _QV
        known = {name for name, _, _ in work.linear}
        adapted = tuple(name for name in targets if name in known)
        work = work.changed(
            rank=_number(row["rank"]) or 1,
            targets=adapted or ("none",),
            is_dora="use_dora" in row["extra"],
        )
    return PublishedCase(
        name=row["experiment"],
        work=work,
        gpu=find_gpu("l40s"),
        counter="reserved",
        measured_bytes=round(measured),
        is_even=True,
    )


def _counter(text: str) -> Counter | None:
    plain = text.lower()
    if "nvidia-smi" in plain:
        return "process"
    if "reserved" in plain:
        return "reserved"
    return "allocated" if "alloc" in plain else None


def _gpu(row: Row) -> Gpu:
    text = (row["source"] + row["notes"]).lower()
    for word, name in (("h100", "h100"), ("l40s", "l40s"), ("h20", "h20-96"), ("v100", "v100-32")):
        if word in text:
            return find_gpu(name)
    return find_gpu("a100-40" if "a100-40" in text else "a100-80")


def _is_exact(length: str) -> bool:
    """`1024` or packed: every row is so long; `<=1024`: rows are cut there."""
    return length.strip().isdigit() or "pack" in length


def _name(row: Row) -> str:
    parts = (row["model"], row["method"], f"{row['batch']} x {row['seq']}", row["strategy"])
    return ", ".join(part for part in parts if part.strip())


def _number(text: str) -> int | None:
    match = re.search(r"\d+", text)
    return int(match.group()) if match else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
