"""Settings in TOML, of a file, with paths that start where it lies, or of a command line. No torch."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xai_bench.errors import InvalidValueError, RunError, UnknownNameError

Table = Mapping[str, Any]
# relative to the file; ~ and $VARIABLES are filled in
PATH_KEYS = ("checkpoint", "path", "masks", "boxes", "matrix")


def read_toml(path: Path, kind: str = "suite") -> dict[str, Any]:
    """The table in a file. Raises UnknownNameError with the nearest file of the folder, or RunError."""
    if path.is_dir():
        raise InvalidValueError(f"{kind} {str(path)!r} is a folder; name a TOML file")
    if not path.is_file():
        near = [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise UnknownNameError.of(f"{kind} file", path.name, near)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{kind} {str(path)!r} is not TOML: {error}") from error
    except RecursionError:
        raise RunError(f"{kind} {str(path)!r} has tables or lists in each other too deep to be read") from None


def located(table: Table, folder: Path, kind: str = "suite") -> Table:
    """The table, and those inside it, with the paths among its values starting at `folder`."""

    def locate(value: str) -> str:
        filled = os.path.expandvars(value)
        if "$" in filled:
            raise RunError(f"path {value!r} of a {kind} names an environment variable that is not set")
        path = Path(filled).expanduser()
        return str(path if path.is_absolute() else folder / path)

    paths = {key: locate(value) for key, value in table.items() if key in PATH_KEYS and isinstance(value, str)}
    inner = {key: located(value, folder, kind) for key, value in table.items() if isinstance(value, Mapping)}
    return {**table, **paths, **inner}


def setting(text: str) -> tuple[str, Any]:
    """`mean=[0.5, 0.5, 0.5]` as TOML would read it; what is no TOML value is a string."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidValueError(f"--set takes KEY=VALUE, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
    except RecursionError:
        raise InvalidValueError(f"the value of --set {key} has lists in each other too deep to be read") from None
