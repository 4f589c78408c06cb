"""A repository of a test: git without the settings of whoever runs it."""

import os
import subprocess
from pathlib import Path

OWN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
OWN |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
DAY = 86_400  # seconds


class Repository:
    """Commits a day apart, the first one on 1 January 2026."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.day = folder, 0
        folder.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        date = {f"GIT_{who}_DATE": f"{1767225600 + DAY * self.day} +0000" for who in ("AUTHOR", "COMMITTER")}
        found = subprocess.run(
            ["git", *words], cwd=self.folder, env=os.environ | OWN | date, check=True, capture_output=True, text=True
        )
        return found.stdout.strip()

    def commit(self, said: str = "one more") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={said}")
        self.day += 1
        return self.git("rev-parse", "HEAD")
