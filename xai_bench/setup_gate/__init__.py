"""Setting a gate up: a starter suite, its margins, its reference, and what makes a service run them."""

from xai_bench.setup_gate.places import Places, shown
from xai_bench.setup_gate.service import SERVICES
from xai_bench.setup_gate.setup import Made, Wanted, set_up
from xai_bench.setup_gate.starter import Starter

__all__ = ["SERVICES", "Made", "Places", "Starter", "Wanted", "set_up", "shown"]
