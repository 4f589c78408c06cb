"""What makes a service run a suite and check it, in plain steps: GitHub's workflow, GitLab's job."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

import xai_bench

WHEEL = "https://download.pytorch.org/whl/cpu"
ASKED = """\
# Are the explanations still as good as in {}?
# Red where they got worse (1), or the images cannot tell (3; --allow-undecided lets that pass)."""


class Job(NamedTuple):
    """What a service has to know; paths from the repository's top."""

    stem: str
    suite: str
    reference: str
    margins: str
    file: str  # that says all this
    requirements: bool  # the repository has a requirements.txt

    @property
    def run(self) -> str:
        """Exit 1 says that some units failed: what they leave out is named by the check."""
        return f"xai-bench run {shlex.quote(self.suite)} --quiet || test $? -eq 1"

    def check(self, more: str = "") -> str:
        """Exit 0 is a pass, 1 a regression, 2 bad input, 3 that the images cannot tell."""
        words = [self.folder, self.reference, "--margins", self.margins]
        return f"xai-bench check {shlex.join(words)}{more}"

    @property
    def folder(self) -> str:
        """Of the run, as `xai-bench run` chooses it."""
        return f"runs/{self.stem}"

    @property
    def install(self) -> tuple[str, ...]:
        """Torch without CUDA is a tenth of the download."""
        own = ("pip install -r requirements.txt",) if self.requirements else ()
        return (
            f"pip install torch torchvision --index-url {WHEEL}",
            *own,
            f'pip install "xai-bench=={xai_bench.__version__}"',
        )


class Service(NamedTuple):
    """Where it looks, and what it wants to read there."""

    file: str  # with {stem}, from the repository's top
    text: Callable[[Job], str]
    hint: str = ""  # what is left to do by hand, with {file}


def github(job: Job) -> str:
    """A workflow of GitHub Actions."""
    install = "\n".join(f"          {line}" for line in job.install)
    return f"""\
{ASKED.format(job.reference)}
name: {json.dumps(job.stem)}

on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read

jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      PYTHONPATH: . # so that torch:package.module:factory finds the code of this repository
    steps:
      - uses: actions/checkout@v4
        with:
          lfs: true # checkpoints may lie there
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: {json.dumps(job.file)}
      - name: Install
        run: |
{install}
      - name: Score the explanations
        run: |
          {job.run} # 1: some failed, and the check says which
      - name: Check them against the reference
        run: |
          {job.check(' --markdown "$GITHUB_STEP_SUMMARY"')}
      - name: Keep the run and its report
        if: always()
        uses: actions/upload-artifact@v4
        with:
          name: {json.dumps(job.stem)}
          path: {json.dumps(job.folder)}
"""


def gitlab(job: Job) -> str:
    """A job of GitLab CI."""
    lines = "\n".join(f"    - {json.dumps(line)}" for line in (*job.install, job.run, job.check(" --junit check.xml")))
    return f"""\
{ASKED.format(job.reference)}
{json.dumps(job.stem)}:
  image: python:3.12
  variables:
    PYTHONPATH: . # so that torch:package.module:factory finds the code of this repository
    PIP_CACHE_DIR: $CI_PROJECT_DIR/.pip
  cache:
    paths: [.pip]
  script:
{lines}
  artifacts:
    when: always
    paths: [{json.dumps(job.folder)}]
    reports:
      junit: check.xml
"""


SERVICES: Mapping[str, Service] = {
    "github": Service(".github/workflows/{stem}.yml", github),
    "gitlab": Service(".gitlab/{stem}.yml", gitlab, "add `include: {{ local: {file} }}` to .gitlab-ci.yml"),
}
