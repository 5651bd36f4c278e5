"""How numbers are written for people, everywhere the same.

A missing number is an en dash. The minus sign is the keyboard's, which every console can show.
"""

MISSING = "\N{EN DASH}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """0.417 is `41.7 %`."""
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None, *, signed: bool = True) -> str:
    """0.408 is `+40.8`: percentage points, without the unit; a rounded zero has no sign."""
    if difference is None:
        return MISSING
    value = round(100 * difference, 1) or 0.0
    return f"{value:+.1f}" if signed and value else f"{value:.1f}"


def p_value(value: float | None) -> str:
    """Without `p =`; below 0.001 only that it is."""
    if value is None:
        return MISSING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def p_phrase(value: float | None) -> str:
    """`p < 0.001`, `p = 0.042`."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def count(value: float | None) -> str:
    """12345 is `12,345`."""
    return MISSING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Per second: three digits that matter."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """`0.4 s`, `42 s`, `3 min 20 s`, `2 h 05 min`."""
    if value is None:
        return MISSING
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def num_bytes(value: int | None) -> str:
    """Binary units, as memory is sold and as every tool of the trade counts it."""
    if value is None:
        return MISSING
    if value < 1024**3:
        return f"{value / 1024**2:.0f} MiB"
    return f"{value / 1024**3:.2f} GiB"


def parameters(value: int | None) -> str:
    """`4.88 M`, `135 M`, `1.54 B`."""
    if value is None:
        return MISSING
    for size, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)
