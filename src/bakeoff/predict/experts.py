"""Mixtures of experts (Shazeer et al. 2017, arXiv:1701.06538): what of a layer a token meets."""

MATRICES = ("gate_proj", "up_proj", "down_proj")
"""Those of experts, which are no linear layers in transformers but one tensor for all of them."""


def mixture(
    *, hidden: int, experts: int, active: int, width: int, shared: int = 0
) -> dict[str, int]:
    """Fields of a ``ModelShape`` whose layers have experts.

    Args:
        hidden: Of the residual stream.
        experts: Of a layer.
        active: That a token goes through.
        width: Of one expert.
        shared: Of what every token goes through beside them.
    """
    one = 3 * hidden * width
    return {
        "intermediate": active * width + shared,
        "experts": experts,
        "idle": (experts - active) * one + experts * hidden,
        "largest_expert_tensor": experts * 2 * hidden * width,
    }
