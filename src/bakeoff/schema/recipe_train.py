"""Hyper-parameters: those of every training, and those of each method."""

from typing import Annotated, Literal

from pydantic import Field

from bakeoff.schema.recipe_part import Count, Positive, Rate, RecipePart, Share

Method = Literal["lora", "full", "qlora", "freeze"]
ADAPTER_METHODS: tuple[Method, ...] = ("lora", "qlora")
"""Methods that train an adapter beside the model's own weights."""

TrainPrecision = Literal["bf16", "fp32", "bf16-mixed"]
Scheduler = Literal["cosine", "linear", "constant"]
OptimizerName = Literal["adamw", "adamw-8bit"]
WHOLE_MOMENTS = ("single", "ddp")
"""Strategies that leave the moments of each weight in one piece, as `adamw-8bit` needs them."""


class TrainSpec(RecipePart):
    """Hyper-parameters that every method shares."""

    learning_rate: Rate = 1e-4
    """Peak learning rate; LoRA usually wants about ten times that of full fine-tuning."""

    scheduler: Scheduler = "cosine"
    """Shape of the learning rate after warm-up; cosine and linear end at zero."""

    warmup_ratio: Share = 0.03
    """Share of the steps over which the rate rises linearly from zero."""

    num_epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the training rows."""

    max_steps: Positive | None = None
    """Stop after this many optimiser steps, whatever `num_epochs` says."""

    batch_size: Positive = 8
    """Rows per device in one forward and backward pass."""

    gradient_accumulation: Positive = 1
    """Passes per optimiser step; rows per step = batch_size x gradient_accumulation x devices."""

    rows_per_step: Annotated[Positive | None, Field(exclude=True)] = None
    """Rows of an optimiser step over all devices; `gradient_accumulation` then follows from it, so
    that different numbers of devices do the same work."""

    max_length: Positive = 1024
    """Longest row in tokens, end-of-sequence token included."""

    overlong: Literal["drop", "truncate-prompt-left", "error"] = "drop"
    """What happens to longer rows: left out, their prompt cut at its beginning (never the answer; a
    row whose answer alone is too long is left out), or refused. The record counts them."""

    loss_on: Literal["response", "all"] = "response"
    """Tokens that are learned: the response and its end-of-sequence token, or all."""

    precision: TrainPrecision = "bf16"
    """Number format of weights, gradients and optimiser state; `bf16-mixed` keeps them in fp32 and
    computes in bf16. Adapters are kept in fp32 in any case."""

    optimizer: OptimizerName = "adamw"
    """`adamw-8bit`: AdamW whose two moments are kept in 8 bits (Dettmers et al. 2022,
    arXiv:2110.02861; bitsandbytes), those of embeddings and of small tensors in fp32."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8

    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this global norm; 0 turns clipping off."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    memory: Literal["fast", "lean"] = "fast"
    """`lean`: as little memory as is possible without other results: activations are recomputed,
    and a pass takes a few hundred tokens. Frameworks get `gradient_checkpointing: true`."""

    validate_every: Count = 0
    """Steps between validation losses; 0: only before the first and after the last step."""

    save_every: Count = 50
    """Steps between checkpoints from which a killed training goes on; 0: none."""

    @property
    def recomputes_activations(self) -> bool:
        return self.gradient_checkpointing or self.memory == "lean"


class LoraSpec(RecipePart):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685).

    Read when the method is `lora`, or `qlora`: the same over a model in 4 bits (Dettmers et al.
    2023, arXiv:2305.14314).
    """

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """The update is scaled by alpha / rank."""

    dropout: Share = 0.0
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get an adapter; `all-linear` leaves out the output layer."""

    use_rslora: bool = False
    """Scale the update by alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv:2312.03732)."""

    use_dora: bool = False
    """Learn magnitude and direction apart (Liu et al. 2024, arXiv:2402.09353)."""

    lora_plus_ratio: Annotated[float, Field(ge=1)] | None = None
    """Learning rate of B over that of A (LoRA+, Hayou et al. 2024, arXiv:2402.12354)."""

    init: Literal["default", "pissa"] = "default"
    """Where the adapter starts: at no change, or at the model's principal singular vectors (PiSSA,
    Meng et al. 2024, arXiv:2404.02948)."""


class FreezeSpec(RecipePart):
    """Training of a few layers, all others frozen; read when the method is `freeze`."""

    trainable_layers: Positive = 2
    """So many of the last transformer layers are trained; embeddings and output are not."""
