"""The pytest plugin: every cell of a check is a test, and the fixture `faithfulness` holds results to a reference.

Everybody's pytest pays for what is imported here, so nothing heavy is: pandas comes when a reference is read, torch
when a suite is run.
"""

import pytest

from xai_bench.errors import XaiBenchError
from xai_bench.pytest_plugin import settings
from xai_bench.pytest_plugin.checking import Checking
from xai_bench.pytest_plugin.endings import Endings
from xai_bench.pytest_plugin.faithfulness import Faithfulness

__all__ = ["Faithfulness"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options `--xai-bench...`, and `xai_bench_...` of the configuration file."""
    settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """What no session without a suite pays for is registered only for one with it."""
    config.addinivalue_line("markers", "xai_bench: a cell of the check of explanations against a reference")
    endings = Endings()
    config.pluginmanager.register(endings, "xai_bench_endings")
    try:
        asked = settings.read(config)
    except XaiBenchError as error:
        raise pytest.UsageError(str(error)) from error
    if asked:
        config.pluginmanager.register(Checking(config, asked, endings), "xai_bench_checking")


@pytest.fixture
def faithfulness(request: pytest.FixtureRequest) -> Faithfulness:
    """Holds results to a reference that lies beside the test; see `Faithfulness.check`."""
    return Faithfulness(request)
