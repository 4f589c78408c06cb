"""Adaptive steps: where the next points of a curve belong, and how wrong the area under it may be.

A curve is known at some of GRID + 1 equal fractions. Round after round, pieces between known points that are wide and
rise or fall far are halved. A piece whose ends are of one height is left alone, so a peak inside it is missed: curves
of real models are not even monotone, and their error has an estimate but no bound. The constants were chosen on real
curves; `benchmarks/adaptive_error.py` measures what they give.

Every function takes many curves, one a row, and treats each as if it were alone: a curve's points do not depend on what
is computed beside it. They do depend on its values, so rounding that changes a value in its last digits can, rarely,
move a point.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

GRID = 224  # equal steps of the finest curve
FIRST = (0, 28, 70, 126, GRID)  # closer where most curves fall
TOLERANCE = 0.0006  # of rise times squared width, for outputs whose range is at most 1
MOST = 24  # points inside a curve
SHARE = 0.15  # of the triangles that points make: with it the mean estimate is the mean error of real curves
RULE = f"{'/'.join(map(str, FIRST))} then halves where rise*width^2 > {TOLERANCE}"  # what specs say

Values = Float64[Tensor, "C G"]  # at GRID + 1 points; only known ones are ever read
Known = Bool[Tensor, "C G"]  # both ends always are


class Pieces(NamedTuple):
    """The straight pieces between the n known points of each curve; shorter rows repeat their last point."""

    ends: Int64[Tensor, "C n"]  # on the grid
    heights: Float64[Tensor, "C n"]
    width: Float64[Tensor, "C n-1"]  # share of the whole curve
    slope: Float64[Tensor, "C n-1"]


def first() -> Int64[Tensor, " n"]:
    """Points of every curve in the first round: the ends and a few between."""
    return torch.tensor(FIRST)


def wanted(values: Values, known: Known) -> Known:
    """Points to evaluate next: the middles of pieces with |rise| width^2 above the tolerance; none when done.

    The tolerance grows with the range of the values seen where that exceeds 1: it is absolute for probabilities,
    relative to the range for logits, log odds and margins. A curve with a value that is not finite asks for nothing,
    and none ever has more than MOST points inside. A piece that was left alone stays so, which bounds the rounds.
    """
    pieces = _pieces(values, known)
    lowest, highest = pieces.heights.aminmax(dim=1, keepdim=True)
    tolerance = TOLERANCE * (highest - lowest).clamp(min=1)
    doubt = pieces.heights.diff(dim=1).abs() * pieces.width.square()
    asked = doubt > tolerance  # never where a piece is narrower than 6 steps, as no rise exceeds the range
    # Most doubtful first, while there is room
    place = torch.where(asked, doubt, -1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    asked &= place < MOST + 2 - known.sum(1, keepdim=True)
    middles = (pieces.ends[:, 1:] + pieces.ends[:, :-1]) // 2
    return torch.zeros_like(known).scatter(1, middles, asked)


def filled(values: Values, known: Known) -> Values:
    """The curve with straight lines between known points: its area is that of the trapezoids of the known points."""
    pieces = _pieces(values, known)
    piece = known.cumsum(1) - 1  # the one that begins at or before each point
    beyond = (torch.arange(known.shape[1], device=known.device) - pieces.ends.gather(1, piece)).double() / GRID
    lines = pieces.heights.gather(1, piece) + beyond * F.pad(pieces.slope, (0, 1)).gather(1, piece)
    return torch.where(known, values, lines)


def error(values: Values, known: Known) -> Float64[Tensor, " C"]:
    """Estimate of |area - area of all GRID steps|: 0 for a straight line, not finite where a value is not.

    Coarse against refined: without one of its points the curve loses or gains a triangle. The points still missing are
    taken to matter as much as a fixed share of those triangles together. As points are placed until all curves are
    about equally well known, it tells curves of unlike range or roughness apart, and hardly one probability curve of
    a model from the next; it is an expected error, no bound.
    """
    pieces = _pieces(values, known)
    triangles = pieces.width[:, 1:] * pieces.width[:, :-1] * pieces.slope.diff(dim=1) / 2
    return SHARE * triangles.abs().cumsum(1)[:, -1]  # in order, so that longer curves beside one change no digit of it


def _pieces(values: Values, known: Known) -> Pieces:
    places = known.cumsum(1)
    row, point = known.nonzero(as_tuple=True)
    ends = known.new_full((len(known), int(places.max())), GRID, dtype=torch.int64)
    ends[row, places[row, point] - 1] = point
    heights = values.gather(1, ends)
    steps = ends.diff(dim=1)
    slope = heights.diff(dim=1) * GRID / steps.clamp(min=1)
    return Pieces(ends, heights, steps.double() / GRID, slope)
