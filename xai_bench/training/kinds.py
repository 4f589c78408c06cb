"""The kinds of models that can be trained, by name."""

from xai_bench.catalogue import Catalogue
from xai_bench.ersm import ATTENTION_LOSSES
from xai_bench.training.camal import Camal
from xai_bench.training.comet import Comet
from xai_bench.training.ersm import Ersm
from xai_bench.training.hit import Hit
from xai_bench.training.plain import Plain
from xai_bench.training.trainer import Trainer

TRAINERS: tuple[type[Trainer], ...] = (Plain, Ersm, Camal, Hit, Comet)
CATALOGUE = Catalogue("trainer", Trainer, TRAINERS, (ATTENTION_LOSSES,))  # type: ignore[type-abstract]
