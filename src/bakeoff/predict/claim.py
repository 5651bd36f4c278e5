"""Whether a figure for memory is possible at all."""

from bakeoff.predict.work import Work
from bakeoff.schema.prediction import Claim, Gpu

_GB = 1e9


def judge(work: Work, claimed_bytes: int, gpu: Gpu | None) -> Claim:
    """Hold a figure against what no implementation of this method can do without.

    Weights, the gradients and moments of what is trained, one layer's residual stream a layer (or
    nothing, if each layer's input is recomputed or sent away). Logits, activations, the allocator
    and the context come on top, but cleverness can make those small.
    """
    adapters = 2 * (work.adapter_numbers * work.adapter_bytes + work.adapter_moment_bytes)
    pieces = [(f"weights, {work.weight_bytes:g} bytes a number", work.stored_weight_bytes)]
    if work.quantised_bits:
        pieces = [(f"weights in {work.quantised_bits} bits", work.stored_weight_bytes)]
    if work.trained_numbers:
        state = 2 * work.weight_moment_bytes / work.shards.optimizer
        pieces.append(("AdamW's two moments", state))
        # A gradient can be used up as soon as it is there: only the largest has to exist.
        pieces.append(("the largest gradient", work.largest_trained * work.weight_bytes))
    if adapters:
        pieces.append(("adapter, gradient and moments", adapters))
    pieces.append(
        ("one row's residual stream", work.tokens * work.shape.hidden * work.compute_bytes)
    )
    floor = round(sum(size for _, size in pieces))
    reasons = tuple(f"{size / _GB:.2f} GB: {name}" for name, size in pieces)
    device = () if gpu is None else (f"CUDA's own context comes on top ({gpu.title})",)
    return Claim(
        claimed_bytes=claimed_bytes,
        floor_bytes=floor,
        is_possible=claimed_bytes >= floor,
        reasons=(*reasons, *device),
    )
