"""One writer per folder. The system frees the lock of a process that dies, however it dies."""

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xai_bench.errors import RunError

LOCK, HOLDER = ".lock", ".lock.json"


class Lock:
    """Held from construction to `release`; a second holder is refused with who the first is."""

    def __init__(self, folder: Path, kind: str = "run folder") -> None:
        self._folder = folder
        self._lock = FileLock(folder / LOCK, thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise RunError(f"{kind} {str(folder)!r} is in use by {holder(folder)}; wait for it or end it") from error
        self._text(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )

    def release(self) -> None:
        """No file of the lock is left. Taken away while it is held, so that no other holder's is."""
        if self._lock.is_locked:
            for name in (HOLDER, LOCK):
                with suppress(OSError):
                    (self._folder / name).unlink(missing_ok=True)
            self._lock.release()

    def _text(self, facts: dict[str, Any]) -> None:
        with suppress(OSError):  # who it is may stay untold on a full disk; the lock holds
            (self._folder / HOLDER).write_text(json.dumps(facts), encoding="utf-8")


def holder(folder: Path) -> str:
    """Who holds the lock, as far as the holder could say."""
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_held(folder: Path) -> bool:
    """Whether the process that took the lock still lives, as far as this machine can tell."""
    try:
        facts = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        if facts["host"] == socket.gethostname():
            os.kill(int(facts["pid"]), 0)  # signal 0 asks only whether there is such a process
    except (ProcessLookupError, FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return False
    except PermissionError:
        return True  # another user's
    return True
