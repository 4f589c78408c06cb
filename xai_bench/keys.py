"""Hash keys: a number or a short text that stands for any parts. No torch."""

import hashlib


def key(*parts: object) -> int:
    """A 56-bit number from any parts; `seed + index` would collide, a hash does not."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits that stand for the parts."""
    return f"{key(*parts):014x}"[:12]
