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
PATH_SCHEMES = ("maps:",)  # of a name that is a path from here on


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
    """The table, and what is inside it, with the paths among its values starting at `folder`."""
    return {key: _located(key, value, folder, kind) for key, value in table.items()}


def located_name(name: str, folder: Path, kind: str = "suite") -> str:
    """A name; of `maps:FOLDER` the path starts at `folder`."""
    scheme = next((scheme for scheme in PATH_SCHEMES if name.startswith(scheme)), None)
    return f"{scheme}{_path(name.removeprefix(scheme), folder, kind)}" if scheme else name


def _located(key: str, value: Any, folder: Path, kind: str) -> Any:
    match value:
        case str():
            return _path(value, folder, kind) if key in PATH_KEYS else located_name(value, folder, kind)
        case Mapping():
            return located(value, folder, kind)
        case list():
            return [_located("", item, folder, kind) for item in value]
    return value


def _path(value: str, folder: Path, kind: str) -> str:
    filled = os.path.expandvars(value)
    if "$" in filled:
        raise RunError(f"path {value!r} of a {kind} names an environment variable that is not set")
    path = Path(filled).expanduser()
    return str(path if path.is_absolute() else folder / path)


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


def entry(text: str) -> str | Table:
    """`gradcam` as it is, and `{name = "gradcam", layers = ["layer3"]}` as the table that a suite would hold."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        table: Table = tomllib.loads(f"entry = {text}")["entry"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidValueError(f"{text!r} is no table of TOML, {{name = 'gradcam', relu = false}}: {error}") from None
    return table
