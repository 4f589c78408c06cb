"""Words that Markdown shows as they are, whatever signs are in them."""

import re

_SIGNS = re.compile(r"([\\`*_{}\[\]()#|~$!])")


def escaped(value: str) -> str:
    """One line of plain words."""
    flat = " ".join(value.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SIGNS.sub(r"\\\1", flat)
