"""Every protocol named after a library gives that library's number: its own code, or its formula in a straight line."""

import contextlib
import math
from functools import partial

import numpy as np
import pytest
import torch
from peer_set import REAL, at_target, descending, module, normalised, real_case, scores, small_case, walked

from xai_bench.metrics import METRICS

BOTH = pytest.mark.parametrize("name", ["deletion", "insertion"])
SIZE = (37, 41)  # 1517 pixels: no step count divides them, so that every library's rounding shows
PIXELS = SIZE[0] * SIZE[1]
ZERO = torch.zeros(3, 1, 1)  # in the normalised tensor: the mean colour


def tied(count=3):
    """Maps full of ties."""
    return (torch.rand(count, *SIZE, generator=torch.Generator().manual_seed(2)) * 9).round()


def raw(case, colour):
    """A colour of the image in [0, 1] as it stands in the normalised tensor."""
    model = case.scene.model
    return (colour - torch.tensor(model.mean).view(3, 1, 1)) / torch.tensor(model.std).view(3, 1, 1)


def trapezoids(values):
    return ((values[:, 1:] + values[:, :-1]) / 2).sum(1)


class Given:
    """What torchcam's metric wants of an extractor; it returns maps that were made before."""

    def __init__(self, network, maps):
        self.model, self.maps = network, maps

    def __call__(self, class_idx=None, scores=None, normalized=True, **_):
        return [self.maps]

    def fuse_cams(self, maps):
        return maps[0]

    def _hooks_off(self):
        return contextlib.nullcontext()


def of_torchcam(case, logits_fn=None, **options):
    """torchcam's two areas of each image; it keeps only means, so images go in one by one."""
    metrics = pytest.importorskip("torchcam.metrics")
    found = []
    for picture, relevance in zip(normalised(case), case.maps, strict=True):
        metric = metrics.DeletionInsertionMetric(Given(module(case), relevance[None]), logits_fn, **options)
        metric.update(picture[None])
        found.append(metric.summary())
    return {name: np.array([summary[f"{name}_auc"] for summary in found]) for name in ("deletion", "insertion")}


@BOTH
def test_torchcam_on_a_small_network(name):
    case = small_case(SIZE, 3, tied())

    np.testing.assert_allclose(scores(case, f"{name}@torchcam"), of_torchcam(case)[name], atol=1e-4)


@BOTH
def test_torchcam_with_softmax(name):
    case, softmax = small_case(SIZE, 3, tied()), partial(torch.softmax, dim=-1)
    wanted = {"name": f"{name}@torchcam", "output": "probability"}

    np.testing.assert_allclose(scores(case, wanted), of_torchcam(case, softmax)[name], atol=1e-5)


@BOTH
def test_torchcam_counts_in_steps_of_whole_pixels(name):
    """Equal fractions instead, as in our default, are another number: torchcam's last step is shorter."""
    case = small_case(SIZE, 3, tied())
    equal = {"name": f"{name}@torchcam", "steps": 20}

    assert np.abs(scores(case, equal) - of_torchcam(case)[name]).max() > 5e-4


def xplique(case, *, insert):
    counts = np.linspace(0, PIXELS, 11, dtype=np.int32)
    logits = walked(case, counts, descending(case.maps, last=True), ZERO, show=insert)
    return trapezoids(at_target(case, logits, softmax=False)) / 10


def pnpxai(case, *, insert):
    """Both remove; the one that we call insertion the least relevant first."""
    counts = [step * (PIXELS // 10) for step in range(9)] + [PIXELS]
    flat = case.maps.flatten(1)
    order = flat.argsort(dim=1, descending=not insert, stable=True)
    return at_target(case, walked(case, counts, order, ZERO)).mean(1)


def latec(case, *, insert):
    assert not insert
    counts = range(50, PIXELS, 50)
    values = at_target(case, walked(case, counts, descending(case.maps), ZERO))
    return trapezoids(values) / len(counts)


def interpretdl(case, *, insert):
    """Removed or shown is what lies above a percentile: all but the lowest value at percentile 0."""
    percentiles = [5 * (i - 1) for i in range(20, 0, -1)]
    counts = [
        int((relevance > level).sum())
        for relevance in case.maps.numpy()[:1]
        for level in np.percentile(relevance, percentiles)
    ]
    counts = [*counts, PIXELS] if insert else [0, *counts]
    logits = walked(case, counts, descending(case.maps), raw(case, 127 / 255), show=insert)
    return at_target(case, logits).mean(1)


def openvino(case, *, insert):
    counts = [int(i * PIXELS / 30) for i in range(31)]
    values = at_target(case, walked(case, counts, descending(case.maps), raw(case, 0.0), show=insert))
    return (values.sum(1) - values[:, 0] / 2 - values[:, -1] / 2) / 30


def chefer(case, *, insert):
    """Share of .1 ... .9 at which the class is still predicted; removes the least relevant first where we insert."""
    maps = -case.maps if insert else case.maps
    counts = [int(PIXELS * fraction) for fraction in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)]
    logits = walked(case, counts, descending(maps), raw(case, 0.0))
    return (logits.argmax(2) == case.scene.targets[:, None]).double().mean(1).numpy()


# peer -> (its formula, how far ours may be, and why it may)
FORMULAS = {
    "xplique": (xplique, 1e-5),
    "pnpxai": (pnpxai, 0.03),  # its steps are of P // 10 pixels: up to 6 of 1517 fewer
    "latec": (latec, 1e-6),
    "interpretdl": (interpretdl, 0.03),  # its percentiles round otherwise: one pixel of 1517
    "openvino": (openvino, 1e-6),
    "chefer": (chefer, 0.12),  # its counts are rounded down: one pixel can turn one of nine hits
}
PAIRS = [(name, peer) for name in ("deletion", "insertion") for peer in FORMULAS if peer in METRICS[name].protocols]


@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_a_protocol_is_the_formula_of_its_peer_in_a_straight_line(name, peer):
    formula, tolerance = FORMULAS[peer]
    untidy = peer == "interpretdl"  # which moves tied pixels together
    case = small_case(SIZE, 3) if untidy else small_case(SIZE, 3, tied())
    expected = formula(case, insert=name == "insertion")

    np.testing.assert_allclose(scores(case, f"{name}@{peer}"), expected, atol=tolerance)
    assert expected.std() > 0.01


@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_where_the_pixels_divide_the_agreement_is_to_the_last_digits(name, peer, monkeypatch):
    # at 224 x 224 the .99999 that stands for all but InterpretDL's lowest value is all but one pixel
    size, tolerance = ((224, 224), 1e-4) if peer == "interpretdl" else ((40, 40), 1e-5)
    monkeypatch.setattr("test_deletion_protocols.PIXELS", size[0] * size[1])
    case = small_case(size, 3)
    expected = FORMULAS[peer][0](case, insert=name == "insertion")

    np.testing.assert_allclose(scores(case, f"{name}@{peer}"), expected, atol=tolerance)


def test_protocols_that_people_take_for_one_are_not():
    case = small_case(SIZE, 3)
    found = sorted(scores(case, f"deletion@{peer}").mean() for peer in METRICS["deletion"].protocols)

    assert min(np.diff(found)) > 1e-4  # neighbours
    assert found[-1] > 2 * found[0]


@pytest.fixture(scope="module", params=REAL)
def real(request, realset):
    return real_case(request.param, realset)


@pytest.mark.realset
def test_torchcam_on_real_images(real):
    theirs = of_torchcam(real, steps=5)
    wanted = {name: {"name": f"{name}@torchcam", "steps": "5 ceil"} for name in theirs}

    for name, table in wanted.items():
        np.testing.assert_allclose(scores(real, table), theirs[name], atol=1e-4)


@pytest.mark.realset
@pytest.mark.parametrize("insert", [False, True])
def test_rise_on_real_images(real, insert):
    """RISE with 7 steps instead of 224."""
    from scipy.ndimage import gaussian_filter
    from torch.nn import functional as F

    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel = torch.from_numpy(gaussian_filter(delta, 5)).float().expand(3, 1, 11, 11)
    blank = F.conv2d(normalised(real), kernel, padding=5, groups=3) if insert else ZERO
    counts = [math.floor(step * 224 * 224 / 7) for step in range(8)]  # 7168 pixels each
    values = at_target(real, walked(real, counts, descending(real.maps, last=True), blank, show=insert))
    name = "insertion" if insert else "deletion"

    np.testing.assert_allclose(
        scores(real, {"name": f"{name}@rise", "steps": 7}),
        (values.sum(1) - values[:, 0] / 2 - values[:, -1] / 2) / 7,
        atol=1e-5,
    )
