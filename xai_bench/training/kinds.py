"""The kinds of models that can be trained, by name."""

from xai_bench.catalogue import Catalogue
from xai_bench.training.ersm import Ersm
from xai_bench.training.plain import Plain
from xai_bench.training.trainer import Trainer

TRAINERS: tuple[type[Trainer], ...] = (Plain, Ersm)
CATALOGUE = Catalogue("trainer", Trainer, TRAINERS)  # type: ignore[type-abstract]
