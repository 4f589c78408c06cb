"""How strong a map's colours are: one rule for every picture of a map."""

import numpy as np
from numpy.typing import NDArray

SHARE = 0.995  # of a map's pixels
FAR = 1.5  # times what they reach
SCALED = (
    "Maps are scaled for display only: each from its minimum to its maximum, or, where an explainer gives signs, "
    "symmetrically about 0 (orange speaks for the class, blue against); where few pixels stand far above all others, "
    "the strongest 0.5 % have the strongest colour."
)


def reach(values: NDArray[np.float32]) -> float:
    """What gets the strongest colour: the largest |value|, or, where it is `FAR` above it, the 99.5th percentile.

    Single pixels would otherwise leave no colour to the rest. 1 where all values are 0.
    """
    strength = np.abs(values)
    most, usual = float(strength.max()), float(np.quantile(strength, SHARE))
    return (usual if 0 < usual * FAR < most else most) or 1.0
