"""The commit of the code that was scored."""

import os
import re
from pathlib import Path

from xai_bench.errors import RunError
from xai_bench.references.git import git

SERVERS = ("GITHUB_SHA", "CI_COMMIT_SHA")  # GitHub, GitLab
PATIENCE = 5.0  # seconds; a commit is good to know, and no reason to wait
CHANGED = "+changes"
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def current(folder: Path | None = None, besides: Path | None = None) -> str:
    """The commit that the server says it builds, else that of the working tree; "" where nobody knows.

    `+changes` follows where files that git tracks differ from it, but for `besides`, the file about to be renewed.
    """
    told = next((os.environ[name] for name in SERVERS if _HASH.fullmatch(os.environ.get(name, ""))), "")
    return told or _of_tree(folder or Path.cwd(), besides)


def _of_tree(folder: Path, besides: Path | None) -> str:
    try:
        head = git(folder, "rev-parse", "--verify", "HEAD", patience=PATIENCE).decode().strip()
        top = Path(git(folder, "rev-parse", "--show-toplevel", patience=PATIENCE).decode().rstrip("\n"))
        status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
        lines = git(folder, *status, patience=PATIENCE).decode(errors="surrogateescape").split("\0")
    except (RunError, OSError):
        return ""
    changed = {(top / line[3:]).resolve() for line in lines if line}
    return head + CHANGED * bool(changed - {besides and besides.resolve()})
