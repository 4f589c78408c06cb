"""How a reference file is laid out: JSON, one line for the head of a cell and one for its scores.

`mean`, `n` and `undefined` in a head are for whoever reads a diff; they are not read back. `digest` is over all the
rest, so that a file that was edited, cut off or merged line by line is not taken for a reference.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from xai_bench.errors import RunError

FORMAT = 1
KIND = "xai_bench_reference"
FACTS = ("created", "versions", "target", "compile")  # of run.json
ANEW = "restore it from version control, or make it anew with `xai-bench reference update RUN FILE --force`"


def laid_out(head: Mapping[str, Any], targets: list[Any], cells: list[tuple[Any, Any]]) -> str:
    """Short facts line by line, lists in one line each: what changed can be read in a diff."""
    table = dict(head) | {"targets": targets, "cells": [part for cell in cells for part in cell]}
    facts = [f" {_line(key)}: {_fact(value)}" for key, value in head.items()]
    rows = [f' "targets": {_rows(targets)}', f' "cells": {_rows([part for cell in cells for part in cell])}']
    return "{\n" + ",\n".join([*facts, *rows, f' "digest": "{digest(table)}"']) + "\n}\n"


def _fact(value: Any) -> str:
    if not isinstance(value, dict):
        return _line(value)
    return "{\n" + ",\n".join(f"  {_line(key)}: {_line(item)}" for key, item in value.items()) + "\n }"


def _rows(values: list[Any]) -> str:
    return "[\n" + ",\n".join(f"  {_line(value)}" for value in values) + "\n ]"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ") if isinstance(value, dict) else (",", ":"))


def table_of(content: bytes, name: str) -> dict[str, Any]:
    """What the bytes of a file called `name` say; RunError where they are no reference, or not a whole one."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RunError(f"{name!r} is no reference file of xai_bench: it is not text") from error
    if not text.strip():
        raise RunError(f"reference {name!r} is empty; {ANEW}")
    ours = KIND in text[:200]
    try:
        table = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if ours:
            raise RunError(f"reference {name!r} is cut off or damaged ({error}); {ANEW}") from error
        raise RunError(f"{name!r} is no reference file of xai_bench: it is not JSON ({error})") from error
    if not isinstance(table, dict) or KIND not in table:
        raise RunError(f"{name!r} is no reference file of xai_bench: it has no {KIND!r}")
    if table[KIND] != FORMAT:
        raise RunError(
            f"reference {name!r} has format {table[KIND]!r}, but this version of xai_bench reads {FORMAT}; "
            "use the version it was written with, or make it anew with `xai-bench reference update RUN FILE --force`"
        )
    if table.pop("digest", None) != digest(table):
        raise RunError(f"reference {name!r} was edited or damaged: its digest does not fit; {ANEW}")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no score")


def digest(table: Mapping[str, Any]) -> str:
    """Over what the file says, whatever its line ends and blanks."""
    said = json.dumps(table, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()
