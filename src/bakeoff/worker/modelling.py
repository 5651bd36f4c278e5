"""The model that is trained, and how rows go through it."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from bakeoff.worker import (
    attention,
    batches,
    fused,
    lanes,
    lora,
    loss,
    products,
    summing_layers,
)
from bakeoff.worker.batches import Batch
from bakeoff.worker.rows import IGNORED, Row, RowList
from bakeoff.worker.settings import LoraSettings, TrainJob

_PROBE_TOKENS = 24
_NUM_SHARED = 12
"""Tokens that rows of the probe share."""

TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 1e-1}
"""Of the relative difference of logits: with SmolLM2-135M rounding in bf16 makes up to 0.03 of it,
mixing up rows at least 0.2."""

_LEAN_TOKENS = 512
"""Of a pass with `memory: lean`: enough to keep the matrix products busy."""

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "bf16-mixed": torch.float32}


@dataclass
class Trainee:
    """A model ready for training."""

    saved: Any
    """What is saved in the end: the PEFT model, or the model itself."""

    model: Any
    """What computes: the model, with the adapter's layers inside."""

    decoder: Any | None
    """The model without its output layer, if loss and output layer can be computed together."""

    can_keep_logits: bool
    make_batch: Callable[[list[Row]], Batch]
    attention_path: str
    """How attention is computed, and why."""

    packing: attention.PackedAttention | None
    products: str
    """How matrices are multiplied."""

    adapter_path: str | None = None
    """How the adapter's layers are computed; None: there is no adapter."""

    fused_parts: dict[str, int] = field(default_factory=dict)
    """How many parts of each kind are one autograd node."""

    num_lanes: int = 1
    """Passes that may run side by side; together they hold no more rows than one would."""

    max_tokens: int | None = None
    """Of a forward pass, where memory counts more than time; a single row may have more."""

    autocast: torch.dtype | None = None
    """The type that is computed in, where it is not that of the weights."""

    @property
    def trained(self) -> dict[str, torch.nn.Parameter]:
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }

    def portions(self, rows: RowList, size: int) -> list[list[Row]]:
        """The forward passes that ``rows`` take, at most ``size`` rows each."""
        portions = batches.micro_batches(rows, size, by_length=self.packing is None)
        if self.max_tokens is None:
            return portions
        return [part for rows in portions for part in batches.cut(rows, self.max_tokens)]

    def cross_entropy(self, batch: Batch, divisor: int) -> torch.Tensor:
        """Summed over the batch's label tokens, divided by ``divisor``; (,) fp32."""
        if self.packing is not None:
            self.packing.layout = batch.layout
        device = batch.token_ids.device.type
        with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
            if self.decoder is None:
                logits = loss.logits_of_targets(
                    self.model, batch, can_keep_logits=self.can_keep_logits
                )
                return loss.divided_cross_entropy(logits, batch.targets, divisor)
            hidden = loss.hidden_of_targets(self.decoder, batch)
        head = self.model.get_output_embeddings()
        weight, bias = head.weight, head.bias
        if self.autocast is not None:
            hidden, weight = hidden.to(self.autocast), weight.to(self.autocast)
            bias = bias.to(self.autocast) if bias is not None else None
        return loss.linear_cross_entropy(hidden, weight, bias, batch.targets, divisor)


def load_trainee(job: TrainJob, rows: RowList, *, pad_token: int, device: torch.device) -> Trainee:
    """Load the model, add what the method trains, and choose how rows go through it."""
    from transformers import AutoModelForCausalLM

    is_mixed = job.train.precision == "bf16-mixed"
    computed_in = torch.bfloat16 if is_mixed else DTYPES[job.train.precision]
    how_products = products.choose(computed_in, device)
    model = AutoModelForCausalLM.from_pretrained(
        job.model_dir,
        dtype=DTYPES[job.train.precision],
        local_files_only=True,
        trust_remote_code=job.trust_remote_code,
    ).to(device)
    decoder = find_decoder(model, _sample_rows(rows)[0])
    packing, attention_path = _choose_attention(model, rows, pad_token=pad_token, is_mixed=is_mixed)
    saved, adapter_path = model, None
    if job.lora is not None:
        saved, adapter_path = _add_adapter(model, job.lora, is_mixed=is_mixed)
    fused_parts = {} if is_mixed else fused.fuse(model)
    if job.freeze is not None:
        _freeze_all_but_last(model, job.freeze.trainable_layers)
    most_lanes = lanes.MAX_LANES
    if job.lora is None and job.spread is None and not is_mixed:
        counts, is_complete = summing_layers.add_up_in_place(model)
        fused_parts |= counts
        most_lanes = lanes.MAX_LANES_OF_WEIGHTS if is_complete else 1
    if job.train.recomputes_activations:
        _recompute_activations(model)
    trainee = Trainee(
        saved=saved,
        model=model,
        decoder=decoder if type(model.get_output_embeddings()) is torch.nn.Linear else None,
        can_keep_logits=accepts(model, "logits_to_keep"),
        make_batch=functools.partial(batches.pad, pad_token=pad_token)
        if packing is None
        else functools.partial(batches.pack, share=_can_share(model)),
        attention_path=attention_path,
        packing=packing,
        products=how_products,
        adapter_path=adapter_path,
        fused_parts=fused_parts,
        max_tokens=_LEAN_TOKENS if job.train.is_lean else None,
        autocast=torch.bfloat16 if is_mixed else None,
    )
    if not job.trust_remote_code and job.spread is None:
        # Processes are lanes already; and their gradients meet in hooks that lanes go around.
        trainee.num_lanes = min(_count_lanes(trainee), job.train.batch_size, most_lanes)
    return trainee


def _count_lanes(trainee: Trainee) -> int:
    """How many passes can run side by side.

    One if memory counts, if the order of random numbers matters, or if rows are padded, which is
    the way of models that we know little of.
    """
    is_plain = trainee.packing is not None and trainee.max_tokens is None
    if not is_plain or _has_dropout(trainee.model):
        return 1
    computed_in = trainee.autocast or trainee.model.dtype
    return lanes.count_lanes(trainee.model.device, computed_in)


def _has_dropout(model: Any) -> bool:
    return any(getattr(module, "p", 0) for module in model.modules() if _is_dropout(module))


def _is_dropout(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.modules.dropout._DropoutNd)


def _freeze_all_but_last(model: Any, num_layers: int) -> None:
    """Train the last so many layers: not the embeddings, the last norm or the output layer."""
    found = [
        (re.search(r"\.(\d+)\.", name), parameter) for name, parameter in model.named_parameters()
    ]
    first = 1 + max(int(layer[1]) for layer, _ in found if layer is not None) - num_layers
    for layer, parameter in found:
        parameter.requires_grad_(layer is not None and int(layer[1]) >= first)


def _add_adapter(model: Any, settings: LoraSettings, *, is_mixed: bool) -> tuple[Any, str]:
    """The PEFT model, and how its layers are computed."""
    from peft import LoraConfig, get_peft_model

    targets = settings.target_modules
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
    )
    peft_model = get_peft_model(model, config)
    if is_mixed:
        return peft_model, "as PEFT does"
    num_fast, num_layers = lora.speed_up(peft_model)
    return peft_model, (
        f"{num_fast} of {num_layers} layers multiply in the type of the activations, "
        "the others as PEFT does"
    )


def _recompute_activations(model: Any) -> None:
    """Gradient checkpointing, under the name that this version of transformers has for it."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _choose_attention(
    model: Any, rows: RowList, *, pad_token: int, is_mixed: bool
) -> tuple[attention.PackedAttention | None, str]:
    """Pack the rows if that is known to be right for this model; None: pad them."""
    plain = model.config._attn_implementation
    problem = "types are mixed" if is_mixed else _packing_problem(model, rows)
    if problem is not None:
        return None, f"{plain}, padded rows ({problem})"
    packing = attention.register()
    samples = _sample_rows(rows)
    groups = [samples, _with_one_start(samples)] if _can_share(model) else [samples]
    expected = [
        [_logits(model, batches.pad([row], pad_token=pad_token)) for row in group]
        for group in groups
    ]
    model.set_attn_implementation(attention.NAME)
    try:
        found = (_probe(model, packing, *pair) for pair in zip(groups, expected, strict=True))
        problem = next((one for one in found if one is not None), None)
    except NotImplementedError as error:
        problem = str(error)
    if problem is not None:
        model.set_attn_implementation(plain)
        return None, f"{plain}, padded rows ({problem})"
    return packing, "packed rows, causal attention within each row"


def _packing_problem(model: Any, rows: RowList) -> str | None:
    """What is known of the architecture that packing would get wrong."""
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        return "the architecture does not let its attention be replaced"
    if not accepts(model, "position_ids"):
        return "the architecture takes no positions"
    longest = max(len(row.token_ids) for row in rows)
    for name in ("sliding_window", "attention_chunk_size"):
        window = getattr(config, name, None)
        if isinstance(window, int) and longest > window:
            return f"a row of {longest} tokens is longer than the model's {name} of {window}"
    if getattr(config, "attention_dropout", 0.0):
        return "the model uses dropout in its attention"
    return None


def _probe(
    model: Any,
    packing: attention.PackedAttention,
    samples: list[Row],
    expected: list[torch.Tensor],
) -> str | None:
    """Compare packed rows with the same rows by themselves.

    Anything else that mixes tokens (convolution, recurrence, an unknown attention) shows here.
    """
    batch = batches.pack(samples, share=_can_share(model))
    packing.layout = batch.layout
    logits, num_shared = _logits(model, batch), batch.layout.num_shared
    for start, whole in zip(batch.layout.starts, expected, strict=True):
        packed, alone = logits[start + num_shared : start + len(whole)], whole[num_shared:]
        difference = float((packed - alone).norm() / alone.norm())
        if not difference <= TOLERANCES[model.dtype]:
            return f"packed rows gave logits that differ by {difference:.1%}"
    return None


def _sample_rows(rows: RowList) -> list[Row]:
    """Three short beginnings of rows, each with other tokens than its neighbours."""
    samples = []
    for number, row in enumerate((list(rows[:3]) * 3)[:3]):
        tokens = row.token_ids[: _PROBE_TOKENS - number]
        if number % 2:
            tokens = tokens[::-1]
        samples.append(Row(row.id, tokens, tokens))
    return samples


def _with_one_start(samples: list[Row]) -> list[Row]:
    """The samples, each after the same tokens."""
    start = (samples[0].token_ids * _NUM_SHARED)[:_NUM_SHARED]
    ignored = [IGNORED] * _NUM_SHARED
    return [Row(row.id, start + row.token_ids, ignored + row.token_ids) for row in samples]


def _can_share(model: Any) -> bool:
    """Whether rows may share their first tokens: kernels of other devices want whole rows.

    Dropout would leave out the same of them in every row.
    """
    return model.device.type == "cpu" and not _has_dropout(model)


@torch.no_grad()
def _logits(model: Any, batch: Batch) -> torch.Tensor:
    """All logits of a batch of one line: (T, vocabulary), fp32."""
    model.eval()
    batch = batch.to(model.device)
    output = model(
        input_ids=batch.token_ids,
        position_ids=batch.position_ids,
        attention_mask=batch.attention_mask,
        use_cache=False,
    )
    return output.logits[0].float()


@torch.no_grad()
def find_decoder(model: Any, row: Row) -> Any | None:
    """The part of the model below its output layer; None if more than a plain layer lies between.

    Some architectures scale or cap the logits: theirs differ from those of the layer alone.
    """
    decoder, head = model.base_model, model.get_output_embeddings()
    if decoder is model or type(head) is not torch.nn.Linear:
        return None
    batch = batches.pack([row]).to(model.device)
    model.eval()
    expected = _logits(model, batch)
    output = decoder(input_ids=batch.token_ids, position_ids=batch.position_ids, use_cache=False)
    hidden = getattr(output, "last_hidden_state", None)
    if hidden is None:
        return None
    difference = (head(hidden)[0].float() - expected).norm() / expected.norm()
    return decoder if difference <= TOLERANCES[model.dtype] / 10 else None


def accepts(model: Any, argument: str) -> bool:
    """Whether the model's forward pass takes such an argument."""
    return argument in inspect.signature(model.forward).parameters
