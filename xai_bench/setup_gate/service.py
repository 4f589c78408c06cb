"""What makes a service run a suite and check it, in plain steps: GitHub's workflow, GitLab's job."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

WHEEL = "https://download.pytorch.org/whl/cpu"
ASKED = """\
# Are the explanations still as good as in {}?
# Red where they got worse (1), or the images cannot tell (3; --allow-undecided lets that pass)."""
PINNED = ("timm", "scikit-image", "captum")  # besides torch: with other versions scores differ, or images do
ELSEWHERE = "not on your registry? Write its folder, or git+https://HOST/OWNER/xai_bench@COMMIT, instead"


class Job(NamedTuple):
    """What a service has to know; paths from the repository's top."""

    stem: str
    suite: str
    reference: str
    margins: str
    file: str  # that says all this
    requirements: bool  # the repository has a requirements.txt
    versions: Mapping[str, str]  # of the run that made the reference, python's among them

    @property
    def run(self) -> str:
        """Exit 1 says that some units failed: what they leave out is named by the check."""
        return f"xai-bench run {shlex.quote(self.suite)} --quiet"

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
        """Torch without CUDA is a tenth of the download; xai-bench comes last, and is to be named where it lies."""
        own = ("pip install -r requirements.txt",) if self.requirements else ()
        torch, others = (" ".join(self._pins(*names)) for names in (("torch", "torchvision"), PINNED))
        last = " ".join(self._pins("xai-bench"))
        return (f"pip install {torch}", *own, f"pip install {others}", f"pip install {last}")

    def _pins(self, *names: str) -> Iterator[str]:
        """`torch==2.1.0` also where the run had 2.1.0+cu121, which the index may not have."""
        versions = ((name, self.versions.get(name, "").partition("+")[0]) for name in names)
        return (f"{name}=={version}" if version else name for name, version in versions)

    @property
    def python(self) -> str:
        """Such as 3.12."""
        return ".".join(self.versions.get("python", "3.12").split(".")[:2])


class Service(NamedTuple):
    """Where it looks, and what it wants to read there."""

    file: str  # with {stem}, from the repository's top
    text: Callable[[Job], str]
    hint: str = ""  # what is left to do by hand, with {file}


def github(job: Job) -> str:
    """A workflow of GitHub Actions."""
    install = "\n".join(f"          {line}" for line in job.install)
    said = '"$RUNNER_TEMP/said.txt"'
    summary = f'tail -n 1 {said} >> "$GITHUB_STEP_SUMMARY"'
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
      PIP_EXTRA_INDEX_URL: {WHEEL} # torch without CUDA
    steps:
      - uses: actions/checkout@v6
        with:
          lfs: true # checkpoints may lie there
      - uses: actions/setup-python@v6
        with:
          python-version: {json.dumps(job.python)}
          cache: pip
          cache-dependency-path: {json.dumps(job.file)}
      - name: Install # the versions of the run that made the reference
        run: |
{install} # {ELSEWHERE}
      - name: Score the explanations # 1: some failed, and the check says which; above, nothing is checked
        shell: bash
        run: |
          code=0
          {job.run} 2>&1 | tee {said} || code=$?
          if [ "$code" -gt 1 ]; then {summary}; exit "$code"; fi
      - name: Check them against the reference # 2: they cannot be compared, and the summary says why
        shell: bash
        run: |
          code=0
          {job.check(f' --junit check.xml --markdown "$GITHUB_STEP_SUMMARY" 2>&1 | tee {said}')} || code=$?
          if [ "$code" -eq 2 ] || [ "$code" -gt 3 ]; then {summary}; fi
          exit "$code"
      - name: Keep the run and its report
        if: always()
        uses: actions/upload-artifact@v6
        with:
          name: {json.dumps(job.stem)}
          path: |
            {job.folder}
            check.xml
"""


def gitlab(job: Job) -> str:
    """A job of GitLab CI."""
    run = f"{job.run} || test $? -eq 1"
    install = "\n".join(f"    - {json.dumps(line)}" for line in job.install)
    lines = "\n".join(f"    - {json.dumps(line)}" for line in (run, job.check(" --junit check.xml")))
    return f"""\
{ASKED.format(job.reference)}
{json.dumps(job.stem)}:
  image: python:{job.python}
  variables:
    PYTHONPATH: . # so that torch:package.module:factory finds the code of this repository
    PIP_CACHE_DIR: $CI_PROJECT_DIR/.pip
    PIP_EXTRA_INDEX_URL: {WHEEL} # torch without CUDA
  cache:
    paths: [.pip]
  script: # the versions of the run that made the reference
{install} # {ELSEWHERE}
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
