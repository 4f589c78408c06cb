"""What several rooms' tests stand on."""

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

torch.set_num_threads(1)  # two workers on two cores; also what makes runs repeatable bit for bit


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
