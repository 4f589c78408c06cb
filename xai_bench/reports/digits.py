"""How many digits a number deserves: two significant digits of its interval's half-width, no more."""

import math


def decimals(low: float, high: float) -> int:
    """Digits after the point; three where there is no interval or no width."""
    half = (high - low) / 2
    if not math.isfinite(half) or half <= 0:
        return 3
    return min(max(0, 1 - math.floor(math.log10(half))), 6)


def ranged(mean: float, low: float, high: float, *, signed: bool = False) -> str:
    """`0.412 [0.378, 0.447]`; without the brackets where there is no interval."""
    digits, sign = decimals(low, high), "+" if signed else ""
    point = f"{mean:{sign}.{digits}f}"
    return point if math.isnan(low) else f"{point} [{low:.{digits}f}, {high:.{digits}f}]"
