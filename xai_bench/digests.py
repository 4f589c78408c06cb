"""Hashes of files that are remembered, so that weights and pictures are read once and not at every start. No torch.

A file is known by its path, size and time of change. A cache that cannot be read or written is not used.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from xai_bench.keys import digest

FOLDER = "XAI_BENCH_CACHE"  # names another folder
NAME = "digests.sqlite3"
WAIT = 2.0  # seconds for another process that writes


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, remembered. Raises OSError where it cannot be read."""
    return remembered(path, (), lambda: _hashed(path))


def remembered(path: Path, parts: tuple[object, ...], compute: Callable[[], str]) -> str:
    """What `compute` says of a file and these parts; asked again once the file has another size or time of change."""
    try:
        facts = path.stat()
    except OSError:
        return compute()
    file = (os.fspath(path.absolute()), facts.st_size, facts.st_mtime_ns)
    key = digest(*parts)
    if (known := _look_up(*file, key)) is not None:
        return known
    found = compute()
    _store(*file, key, found)
    return found


def cache_file() -> Path:
    """Where the hashes are kept."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen) / NAME
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xai_bench" / NAME


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look_up(path: str, size: int, changed: int, key: str) -> str | None:
    query = "SELECT digest FROM digests WHERE path = ? AND size = ? AND changed = ? AND key = ?"
    try:
        with closing(_opened()) as cache:
            row = cache.execute(query, (path, size, changed, key)).fetchone()
    except (sqlite3.Error, OSError, RuntimeError):  # RuntimeError: there is no home folder
        return None
    return str(row[0]) if row else None


def _store(path: str, size: int, changed: int, key: str, found: str) -> None:
    try:
        with closing(_opened()) as cache, cache:
            cache.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", (path, key, size, changed, found))
    except (sqlite3.Error, OSError, RuntimeError):
        return


def _opened() -> sqlite3.Connection:
    file = cache_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(file, timeout=WAIT)
    try:
        cache.execute(
            "CREATE TABLE IF NOT EXISTS digests (path TEXT, key TEXT, size INTEGER, changed INTEGER, digest TEXT, "
            "PRIMARY KEY (path, key))"
        )
    except sqlite3.Error:
        cache.close()
        raise
    return cache
