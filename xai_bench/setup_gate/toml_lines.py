"""TOML with each value in one line, where tomli_w would spread arrays over several, and room for a comment behind."""

from collections.abc import Mapping
from typing import Any

import tomli_w


def in_lines(table: Mapping[str, Any]) -> list[str]:
    """`key = value`, `key = [1, 2]`, `key = { a = 1 }`."""
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(in_lines(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"a": value}).removeprefix("a = ").strip()


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")
