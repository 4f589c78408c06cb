"""How many digits a number deserves: two significant digits of its interval's half-width, no more."""

import math

TINY = 1e-4  # below, six digits after the point would not hold two that count


def decimals(low: float, high: float) -> int:
    """Digits after the point; three where there is no interval or no width."""
    half = (high - low) / 2
    if not math.isfinite(half) or half <= 0:
        return 3
    return min(max(0, 1 - math.floor(math.log10(half))), 6)


def number(value: float, low: float, high: float, sign: str = "") -> str:
    """The value with the digits that its interval deserves, `3.1e-09` too close to 0 for them; 0 has no minus."""
    if 0 < max(abs(low), abs(high)) < TINY and abs(value) < TINY:
        return f"{value:{sign}z.1e}"
    return f"{value:{sign}z.{decimals(low, high)}f}"


def ranged(mean: float, low: float, high: float, *, signed: bool = False) -> str:
    """`0.412 [0.378, 0.447]`; without the brackets where there is no interval."""
    point = number(mean, low, high, "+" if signed else "")
    return point if math.isnan(low) else f"{point} [{number(low, low, high)}, {number(high, low, high)}]"
