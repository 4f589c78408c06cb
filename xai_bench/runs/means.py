"""How a plan is carried out: read and checked here, without torch."""

from dataclasses import dataclass

from xai_bench.errors import InvalidValueError, UnknownNameError

EXECUTORS = ("local", "processes", "ray")


@dataclass(frozen=True)
class Means:
    """How a plan is carried out; nothing of it can change a number."""

    executor: str = "local"
    workers: int | None = None  # processes or actors; None: one per device
    address: str | None = None  # of a Ray cluster
    loaders: int | None = None  # processes that decode images; None: as many as pay
    progress: bool | None = None  # None: where a person looks on
    fresh: bool = False  # a run that is in the folder is taken away first

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise UnknownNameError.of("executor", self.executor, EXECUTORS)
        for name, kinds in (("workers", ("processes", "ray")), ("address", ("ray",))):
            if getattr(self, name) is not None and self.executor not in kinds:
                raise InvalidValueError(
                    f"{name} is for executor {' or '.join(map(repr, kinds))}, got executor {self.executor!r}"
                )
        for name, least in (("workers", 1), ("loaders", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise InvalidValueError(f"{name} must be a whole number from {least}, got {value!r}")
