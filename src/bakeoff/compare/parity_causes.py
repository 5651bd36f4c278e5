"""Why backends differ where they cannot be set alike, as far as it is known."""

from collections.abc import Mapping

_CAUSES = {
    "logits are computed for": (
        "the built-in trainer leaves the output layer out where nothing is learned; LLaMA-Factory "
        "computes it for every token, and so does ms-swift here (`use_logits_to_keep: false`)"
    ),
    "order of rows within a step": (
        "where the built-in trainer pads, it puts rows of like length together; loss and gradient "
        "of the step are sums over the same rows"
    ),
    "format of the optimiser's state": "AdamW's state has the format of the weights that it trains",
}


def cause_of(what: str, values: Mapping[str, str]) -> str | None:
    """The cause in a sentence; None: not known."""
    del values  # every cause so far is told by the setting alone
    return _CAUSES.get(what)
