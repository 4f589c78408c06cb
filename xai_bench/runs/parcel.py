"""A plan as bytes, so that every worker has the same weights, functions and lambdas and need not load or import any."""

import io
import pickle
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import torch

from xai_bench.errors import UnsupportedError
from xai_bench.metrics.function import FunctionMetric
from xai_bench.runs.plan import Plan


def packed(plan: Plan) -> bytes:
    """The plan without its data, which stay with the process that decodes them.

    UnsupportedError where something of it cannot be pickled, such as an open file.
    """
    buffer = io.BytesIO()
    try:
        with _by_value(_foreign(plan)):
            torch.save(replace(plan, data={}), buffer, pickle_module=cloudpickle)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise UnsupportedError(f"the models, explainers or metrics cannot be sent to workers: {error}") from error
    return buffer.getvalue()


def unpacked(content: bytes, device: str) -> Plan:
    """The plan, with models that were on a GPU on this one."""

    def place(storage: Any, location: str) -> Any:
        return storage.to(device=device) if location.startswith("cuda") else storage

    # our own parcel, not a file of unknown origin
    plan: Plan = torch.load(io.BytesIO(content), map_location=place, weights_only=False)
    return plan


def _foreign(plan: Plan) -> Iterable[ModuleType]:
    """Modules of the caller's own that another machine has not: not installed, not Python's, not ours."""
    explainers = (entry for entries in plan.explainers.values() for entry in entries.values())
    metrics = (entry for entries in plan.metrics.values() for entry in entries.values())
    functions = (entry.function if isinstance(entry, FunctionMetric) else entry for entry in (*explainers, *metrics))
    layers = (layer for model in plan.models.values() for layer in model.module.modules())
    names = {getattr(entry, "__module__", None) or type(entry).__module__ for entry in (*functions, *layers)}
    modules = (sys.modules.get(name) for name in names - {"__main__"})
    return [module for module in modules if module is not None and not _installed(module)]


def _installed(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__.partition(".")[0] == __name__.partition(".")[0]:
        return True
    homes = {*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()}
    return any(Path(file).is_relative_to(home) for home in homes)


@contextmanager
def _by_value(modules: Iterable[ModuleType]) -> Iterator[None]:
    registered = [module for module in modules if module.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
