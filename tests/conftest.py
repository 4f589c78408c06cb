"""What several rooms' tests stand on."""

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

from xai_bench import cli

torch.set_num_threads(1)  # two workers on two cores; also what makes runs repeatable bit for bit
os.environ["OMP_NUM_THREADS"] = "1"  # the same in processes that tests start
if platform.libc_ver()[0] == "glibc":
    # Large tensors come out of memory that the process keeps. By default the C library gives each back to the system at
    # once, which then clears every page of the next one: two thirds of the time of a convolution net on 32 images.
    for number, name, value in ((-4, "MALLOC_MMAP_MAX_", 0), (-1, "MALLOC_TRIM_THRESHOLD_", 2**31 - 1)):
        ctypes.CDLL(None).mallopt(number, value)
        os.environ[name] = str(value)  # for processes that tests start


def pytest_collection_finish() -> None:
    """Modules stay to the end: let no later search for garbage, ours or the library's, go through them again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session")
def realset() -> Path:
    folder = os.environ.get("XAI_BENCH_REALSET", "")
    if not folder:
        pytest.skip("XAI_BENCH_REALSET is not set: the real weights and images are not here")
    return Path(folder)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hashes are remembered away from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAI_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Shape checking off, as at a user's, to see the sentence that comes instead."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[object, str, str]]:
    """Run a command line in an empty folder -> (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["xai-bench", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            code: object = end.code
        else:
            code = 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
