"""The conclusion of a transfer experiment in one sentence: what carries over, and how sure."""

from bakeoff.schema.transfer import Curve, RankAgreement, Ratio, Regret, TransferResult


def sentence_of(result: TransferResult) -> str:
    """Ratio, regret and order, each with how sure it is; what was not found is said as well."""
    parts = [_ratio_words(result)]
    divided = _regret(result, "LoRA's rate / published")
    as_it_is = _regret(result, "LoRA's rate")
    if divided is not None and as_it_is is not None:
        published = f"{result.ratios[0].published:g}" if result.ratios else "the published ratio"
        parts.append(
            f"LoRA's best rate divided by {published} {regret_words(divided)}, taken as it is it "
            f"{regret_words(as_it_is)}"
        )
    if result.ranks:
        parts.append(_rank_words(result.ranks[0]))
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _ratio_words(result: TransferResult) -> str:
    if not result.ratios:
        reasons = [f"{c.arm}: {c.status}" for c in result.curves if c.status != "ok"]
        return "No ratio of the best rates can be told (" + ", ".join(reasons) + ")"
    ratio = result.ratios[0]
    interval = ratio.interval
    sure = (
        f"95 % interval {factor(interval.low)} to {factor(interval.high)}"
        if interval is not None
        else "no interval: too many resampled curves have no lowest point"
    )
    return (
        f"The best learning rate of {ratio.arm} is {factor(ratio.ratio)} times that of full "
        f"fine-tuning here ({sure}), {verdict_words(ratio)}"
    )


def verdict_words(ratio: Ratio) -> str:
    """Against the published ratio, with the test."""
    bounds = f"{ratio.low:g} to {ratio.high:g}"
    if ratio.what == "as published":
        test = f"within {bounds}: TOST p = {ratio.equivalence_p or 0:.2g}"
        side = _beside(ratio)
        if side is None:
            return f"which agrees with the published {ratio.published:g} ({test})"
        return f"which is {side} the published {ratio.published:g}, but near it ({test})"
    if ratio.what == "not as published":
        return f"which is not the published {ratio.published:g}"
    return f"which neither shows nor rules out the published {ratio.published:g} ({bounds})"


def _beside(ratio: Ratio) -> str | None:
    """A ratio can be near the published one and yet surely another; None where it is not."""
    if ratio.interval is None or ratio.interval.low <= ratio.published <= ratio.interval.high:
        return None
    return "below" if ratio.ratio < ratio.published else "above"


def regret_words(regret: Regret) -> str:
    """`costs full fine-tuning 0.012 nats a token (95 % interval 0.004 to 0.02)`."""
    if regret.what == "diverged":
        return "makes full fine-tuning diverge"
    sure = ""
    if regret.interval is not None:
        sure = f" (95 % interval {regret.interval.low:.2g} to {regret.interval.high:.2g})"
    elif regret.what == "undecided":
        sure = " (with too few seeds to tell)"
    return f"costs full fine-tuning {regret.mean or 0:.2g} nats a token{sure}"


def _rank_words(found: RankAgreement) -> str:
    ceiling = (
        f" where noise allows {found.kendall_ceiling:.2f}"
        if found.kendall_ceiling is not None
        else ""
    )
    return (
        f"the order of the {found.num_settings} settings is the same with Kendall's tau "
        f"{found.kendall:.2f}{ceiling}"
    )


def _regret(result: TransferResult, choice: str) -> Regret | None:
    return next((found for found in result.regrets if found.choice == choice), None)


def factor(value: float) -> str:
    """Two digits that matter: 0.83, 9.1, 12, 130."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def rate(value: float | None) -> str:
    """A learning rate: `3.2e-4`."""
    if value is None:
        return "\N{EN DASH}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def context_words(curve: Curve | Ratio) -> str:
    """The arm, and what it shares with the others where that varies."""
    shared = [f"{key.rpartition('.')[2]} {value}" for key, value in curve.context.items()]
    return ", ".join([curve.arm, *shared])
