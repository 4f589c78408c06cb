"""What every study checks of what it is given."""

from collections.abc import Mapping
from typing import Any

from xai_bench.errors import InvalidValueError


def check_data(data: Mapping[str, Any], study: str, instead: Mapping[str, str]) -> None:
    """Refuse a table of data without a name, or with keys that the study gives itself; `instead` says by which."""
    if not isinstance(data.get("name"), str):
        raise InvalidValueError(f"data of study {study} must be a table with a name, got {dict(data)!r}")
    for key, other in instead.items():
        if key in data:
            raise InvalidValueError(f"{key} in data of study {study} is given by {other}, got {key}={data[key]!r}")
