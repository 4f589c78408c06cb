"""Exit codes, and ways out that keep them: no crash, and no stream that nobody reads, may look like a verdict."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

INCOMPLETE, BAD_INPUT, OUR_FAULT, INTERRUPTED, UNREAD = 1, 2, 70, 130, 141


def leave(code: int, say: Callable[[], object]) -> NoReturn:
    """Exit with a code, whether or not the words can be said: python would leave with 1 of its own."""
    with suppress(OSError, ValueError):  # stderr is full, closed, or a pipe without a reader
        say()
    settle()
    sys.exit(code)


def settle() -> None:
    """What a stream cannot write goes nowhere: python would leave with 120 for what is left in it."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
