"""One training as the memory model sees it: every fact that sizes depend on."""

from dataclasses import dataclass, replace
from typing import Literal

from bakeoff.predict import experts
from bakeoff.predict.shape import linear_layers
from bakeoff.schema.prediction import ModelShape

LossPath = Literal["labels", "model", "model-shifted", "autocast-shifted", "chunked"]
"""How logits become a loss. `labels`: the built-in trainer's, so many label tokens at a
time; `model`: transformers since 4.45, all positions, upcast to fp32; `model-shifted`: before
it, with a shifted copy; `autocast-shifted`: a model's own code in 16 bits under autocast, its
outputs converted to fp32 by accelerate; `chunked`: fused (Liger), a piece at a time."""

AttentionPath = Literal["flash", "rows", "eager"]
"""`flash`: fused, nothing of length x length is kept; `rows`: the built-in trainer's on a CPU;
`eager`: matrix products, the weights kept."""

OptimizerPath = Literal["fused", "foreach", "loop", "8bit"]
"""AdamW's step. `foreach` makes a temporary of all parameters (torch's default on CUDA: "uses
~ sizeof(params) more peak memory than the for-loop version"), `loop` one of each in turn."""

AdapterPath = Literal["peft", "autocast", "fast"]
"""A layer with LoRA. `peft` keeps an fp32 copy of its input for each adapted matrix, `autocast`
one in 16 bits, `fast` (the built-in trainer) the input itself, once."""


_BYTES_IN_8_BITS = 1 + 4 / 256
"""A byte a number and an fp32 scale for each 256 (Dettmers et al. 2022, arXiv:2110.02861, section
2)."""


@dataclass(frozen=True, kw_only=True)
class Shards:
    """Over how many devices each kind of state is spread; 1: each device has all of it."""

    weights: int = 1
    gradients: int = 1
    optimizer: int = 1
    gathers_layers: bool = False
    """Whole layers are put together for their turn (FSDP, ZeRO-3)."""

    gradient_copy: bool = False
    """Buckets for the exchange hold the gradients a second time (DDP)."""

    bucket_numbers: int = 0
    """Gradients exchanged at a time, in numbers (DeepSpeed)."""

    master_copy: bool = False
    """fp32 weights beside 16-bit ones (DeepSpeed)."""

    offloads_optimizer: bool = False
    offloads_weights: bool = False
    """A device holds only the layers that compute (ZeRO-3 with offloaded parameters)."""

    unsharded_gradients: bool = False
    """Gradients stay whole between the passes of a step (FSDP's no_sync)."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A training on one device; bytes are those of one number."""

    shape: ModelShape
    rows: int
    tokens: int
    """Of a row, padding included."""

    label_share: float = 1.0
    """Label tokens over tokens: counts with the loss path `labels` only."""

    accumulation: int = 1
    trains_all: bool = False
    last_layers: int | None = None
    """Only so many of the last layers are trained; None: all or none."""

    rank: int = 0
    """Of the adapter; 0: there is none."""

    targets: tuple[str, ...] | None = None
    """Adapted matrices; None: all."""

    adapts_embedding: bool = False
    dropout: float = 0.0
    is_dora: bool = False
    weight_bytes: float = 2
    compute_bytes: int = 2
    adapter_bytes: int = 4
    state_bytes: int = 2
    """Of each of AdamW's two moments, for trained weights (an adapter's have its own type)."""

    quantised_bits: int | None = None
    checkpointing: bool = False
    attention: AttentionPath = "flash"
    repeats_keys: bool = False
    """Key heads are copied to the number of query heads."""

    adapter: AdapterPath = "peft"
    fuses_layers: bool = False
    """Whether norms and gated layers are one autograd node each, as in the built-in trainer."""

    sums_gradients: bool = False
    """Whether the gradient of a matrix is added to that of earlier passes as it is made, so that it
    never exists by itself (the built-in trainer, alone)."""

    gradient_lanes: int = 1
    """Passes side by side, each with gradients of its own (the built-in trainer on a CPU)."""

    loss: LossPath = "model"
    keeps_outputs: bool = False
    """Whether the caller holds on to the logits during the backward pass."""

    optimizer: OptimizerPath = "foreach"
    gathers_gradients: bool = True
    shards: Shards = Shards()
    host_libraries_mib: int = 100
    """On a CPU: what comes on top of tensors (``facts.TrainerFacts``)."""

    gives_back: bool = False
    """On a CPU: whether freed memory goes back to the system (``bakeoff.predict.heap``)."""

    workspace_bytes: int = 8_519_680
    """cuBLAS's, taken from torch's allocator (`CUBLAS_WORKSPACE_CONFIG` `:4096:2:16:8`)."""

    @property
    def is_on_cpu(self) -> bool:
        return self.workspace_bytes == 0

    @property
    def weight_moment_bytes(self) -> float:
        """Of each of AdamW's moments, for the trained weights."""
        if self.optimizer != "8bit":
            return self.trained_numbers * self.state_bytes
        kept = self.embedding_in_fp32
        return kept * 4 + (self.trained_numbers - kept) * _BYTES_IN_8_BITS

    @property
    def adapter_moment_bytes(self) -> float:
        """Of each of AdamW's moments, for the adapter."""
        each = _BYTES_IN_8_BITS if self.optimizer == "8bit" else self.adapter_bytes
        return self.adapter_numbers * each

    @property
    def embedding_in_fp32(self) -> int:
        """Numbers of the embedding, where 8 bits are not for its moments (bitsandbytes)."""
        return self.shape.vocabulary * self.shape.hidden if self.trains_all else 0

    @property
    def all_tokens(self) -> int:
        return self.rows * self.tokens

    @property
    def linear(self) -> list[tuple[str, int, int]]:
        return linear_layers(self.shape)

    @property
    def layer_numbers(self) -> int:
        """Weights of a layer's matrices, those of idle experts too."""
        return sum(rows * columns for _, rows, columns in self.linear) + self.shape.idle

    def is_adapted(self, name: str) -> bool:
        if not self.rank or self._is_of_experts(name):
            return False
        if self.targets is None or name in self.targets:
            return True
        return name == "qkv_proj" and any(t[:2] in ("q_", "v_", "k_") for t in self.targets)

    def _is_of_experts(self, name: str) -> bool:
        """They are no linear layers, so that PEFT and bitsandbytes leave them alone."""
        return bool(self.shape.experts) and name in experts.MATRICES

    @property
    def adapter_numbers(self) -> int:
        one = sum(
            self.rank * (rows + columns) + (columns if self.is_dora else 0)
            for name, rows, columns in self.linear
            if self.is_adapted(name)
        )
        return one * self.shape.layers

    @property
    def trained_numbers(self) -> int:
        """Of the model's own weights."""
        if self.trains_all:
            return self.shape.parameters
        if self.last_layers is None:
            return 0
        layer = self.layer_numbers + 2 * self.shape.hidden
        return layer * min(self.last_layers, self.shape.layers)

    @property
    def largest_trained(self) -> int:
        """Of the model's own trained weights the largest, in numbers."""
        if self.trains_all:
            return self.shape.largest_parameter
        inside = (rows * columns for _, rows, columns in self.linear)
        return max(*inside, self.shape.largest_expert_tensor) if self.trained_numbers else 0

    @property
    def stored_weight_bytes(self) -> float:
        """Of the frozen or trained model on one device.

        In 4 bits (NF4, Dettmers et al. 2023, arXiv:2305.14314, section 3) with double
        quantisation: half a byte a number, a byte for each 64 of them and 4 for each 256 of those;
        embedding, output layer and norms stay as they were, and so do experts.
        """
        inside = self.shape.layers * sum(
            rows * columns for name, rows, columns in self.linear if not self._is_of_experts(name)
        )
        outside = self.shape.parameters - inside
        each = self.weight_bytes
        if self.quantised_bits == 4:
            each = 0.5 + 1 / 64 + 4 / (64 * 256)
        elif self.quantised_bits == 8:
            each = 1 + 4 / 4096
        return (inside * each + outside * self.weight_bytes) / self.shards.weights

    def changed(self, **values: object) -> "Work":
        return replace(self, **values)  # type: ignore[arg-type]
