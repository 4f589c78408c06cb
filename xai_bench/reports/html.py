"""What every page shares: templates that escape, scripts with their hashes, content as part of the page."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

HERE = Path(__file__).parent
_BREAKS = re.compile(r"(?<=[,;/:])(?=[^\s\d])|(?<=\w\()")


@cache
def environment() -> Environment:
    """The templates; every name put into them is escaped."""
    loader = FileSystemLoader(HERE / "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["breakable"] = breakable
    found.globals |= {"policy": policy, "tables_script": script("page/tables.js")}
    return found


def script(*names: str) -> Markup:
    """Scripts of this package, to stand in one element."""
    return Markup("\n".join((HERE / name).read_text("utf-8") for name in names))  # noqa: S704 - our own files


def breakable(name: str) -> Markup:
    """Long names of metrics and data may go on in the next line, after a comma or bracket."""
    return Markup("<wbr>").join(_BREAKS.split(name))


def policy(scripts: Sequence[Markup]) -> str:
    """A content security policy: nothing from outside, no script but these."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def stored(content: object) -> Markup:
    """JSON that nothing in it can end, to stand in a script element."""
    return htmlsafe_json_dumps(content, separators=(",", ":"), allow_nan=False)


def uri(kind: str, content: bytes) -> str:
    """The content as part of the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
