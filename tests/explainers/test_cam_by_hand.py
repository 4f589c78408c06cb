"""The CAM family on activations and gradients of two channels and two cells: every map is known on paper."""

import math

import pytest
import torch

from xai_bench.explainers import EXPLAINERS
from xai_bench.explainers.cam import EigenCAM

ACTIVATIONS = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
GRADIENTS = torch.tensor([[[[2.0, 1.0]], [[-2.0, -3.0]]]])
ROOT = math.sqrt

# sums of the channels are 4 and 2, mean gradients 3 / 2 and -5 / 2
KNOWN = {
    "gradcam": [0, 3 * 3 / 2],  # 1 * 3/2 - 2 * 5/2 < 0
    "gradcam(relu=False)": [3 / 2 - 2 * 5 / 2, 3 * 3 / 2],
    # alpha of channel 1: 4 / (8 + 4 * 8) and 1 / (2 + 4); no gradient of channel 2 is positive
    "gradcam_plus_plus(epsilon=0.0)": [2 / 10 + 1 / 6, 3 * (2 / 10 + 1 / 6)],
    "gradcam_plus_plus(epsilon=4.0)": [2 * 4 / 44 + 1 / 10, 3 * (2 * 4 / 44 + 1 / 10)],
    "hirescam": [2 - 4, 3],
    "hirescam(relu=True)": [0, 3],
    "linear_approximation": [0, 3],
    "xgradcam(relu=False)": [5 / 4 - 2 * 4 / 2, 3 * 5 / 4],
    "layercam": [2, 3],
    "normgrad": [ROOT(5 * 8), ROOT(9 * 10)],
    "normgrad(layer_kind=conv3x3)": [ROOT(14 * 8), ROOT(14 * 10)],  # each cell sees both
    "normgrad(layer_kind=scaling)": [ROOT(4 + 16), 3],
    "normgrad(layer_kind=bias)": [ROOT(8), ROOT(10)],
    "normgrad_selective": [2, 3],
    # [[10, 2], [2, 4]] has the eigenvalue 7 + root 13, with (2, root 13 - 3)
    "eigencam(centred=False)": [
        (2 + 2 * (ROOT(13) - 3)) / math.hypot(2, ROOT(13) - 3),
        3 * 2 / math.hypot(2, ROOT(13) - 3),
    ],
    # the products are (2, -4) and (3, 0), which add -2 and 3
    "eigengradcam": [-ROOT(17) / 2, ROOT(17) / 2],
}


def built(text):
    name, _, inside = text.partition("(")
    values = dict(part.split("=") for part in inside.rstrip(")").split(",") if part)
    read = {"True": True, "False": False, "0.0": 0.0, "4.0": 4.0}
    return EXPLAINERS[name](**{key: read.get(value, value) for key, value in values.items()})


@pytest.mark.parametrize("text", KNOWN)
def test_two_cells_by_hand(text):
    seen = (ACTIVATIONS,) if text.startswith("eigencam") else (ACTIVATIONS, GRADIENTS)

    torch.testing.assert_close(built(text).cells(*seen), torch.tensor([[KNOWN[text]]], dtype=torch.float32))


@pytest.mark.parametrize("turn", [1, -1])
def test_the_cell_that_stands_out_most_is_positive_in_eigencam(turn):
    # centred, the cells are (-1, 1), (-1, 1) and (2, -2), whatever the sign of both channels
    activations = turn * torch.tensor([[[[0.0, 0.0, 3.0]], [[3.0, 3.0, 0.0]]]])

    torch.testing.assert_close(EigenCAM().cells(activations), torch.tensor([[[-1.0, -1.0, 2.0]]]) * ROOT(2))
