import numpy as np
import pytest
import torch
from scipy import ndimage

from xai_bench.catalogue import describe, label
from xai_bench.errors import InvalidValueError, UnknownNameError, UnsupportedError
from xai_bench.metrics import METRICS
from xai_bench.oracles import Sum, as_model
from xai_bench.removal import REMOVALS, Blur, Fill, Inpaint, LayerMasking, SmoothEdges, UniformNoise
from xai_bench.seeding import Noise

NOISE = Noise(0, "smooth", ("a", "b"))
MODEL = as_model(Sum(), (20, 30))


@pytest.fixture
def keep():
    return (torch.rand(2, 20, 30, generator=torch.Generator().manual_seed(0)) > 0.5).float()


@pytest.fixture
def images():
    return torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(1))


def test_the_mask_is_blurred_as_scipy_does_it(keep):
    """5 x 5 and sigma 1: scipy's Gaussian cut off at 2 sigma; its `mirror` does not repeat the edge pixel."""
    expected = ndimage.gaussian_filter(keep.double().numpy(), sigma=(0, 1, 1), mode="mirror", truncate=2.0)

    np.testing.assert_allclose(SmoothEdges().softened(keep), expected, atol=1e-6)


def test_pixels_blend_at_an_edge_on_paper():
    """White shown left, black right of column 3: a column's brightness is the Gaussian's weight to the left of it."""
    weights = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    weights /= weights.sum()
    left = np.cumsum(weights)[::-1]  # of the columns 2 before ... 2 behind the first hidden one, which is the 4th
    keep = torch.zeros(1, 1, 8)
    keep[..., :4] = 1
    removal = SmoothEdges(Fill("black"))
    images = torch.ones(1, 3, 1, 8)
    seen = removal.alter(images, keep, removal.prepare(as_model(Sum(), (1, 8)), images, Noise(0, "", ("a",))))

    np.testing.assert_allclose(seen[0, 0, 0], [1, 1, *left[1:], 0, 0], atol=1e-6)


@pytest.mark.parametrize("inner", [Fill("grey"), Blur(), UniformNoise(), SmoothEdges()], ids=label)
def test_it_is_the_wrapped_removal_under_the_softened_mask(inner, images, keep):
    removal = SmoothEdges(inner, kernel=3, sigma=0.7)
    expected = inner.alter(images, removal.softened(keep), inner.prepare(MODEL, images, NOISE))

    assert torch.equal(removal.alter(images, keep, removal.prepare(MODEL, images, NOISE)), expected)


def test_a_kernel_of_one_pixel_changes_nothing(images, keep):
    assert torch.equal(SmoothEdges(kernel=1).softened(keep), keep)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (20, 30)])
def test_a_mask_without_edges_stays(size, value):
    keep = torch.full((1, *size), value)

    torch.testing.assert_close(SmoothEdges(kernel=9, sigma=2.0).softened(keep), keep)


def test_tables_nest(keep):
    table = {"name": "smooth_edges", "removal": {"name": "fill", "colour": "grey"}}
    metric = METRICS.build({"name": "deletion", "removal": table | {"sigma": 2}})

    assert REMOVALS.build(table) == SmoothEdges(Fill("grey"))
    assert metric.removal == SmoothEdges(Fill("grey"), sigma=2.0)
    assert REMOVALS.build({"name": "smooth_edges", "removal": "blur@rise"}) == SmoothEdges(Blur(kernel="rise"))


def test_the_spec_says_what_is_wrapped():
    assert describe(SmoothEdges(Fill("grey"))) == "smooth_edges(removal=fill(colour=grey),kernel=5,sigma=1)"
    assert label(SmoothEdges(Fill("grey"))) == "smooth_edges(removal=fill(colour=grey))"


@pytest.mark.parametrize("inner", [LayerMasking(), Inpaint()], ids=label)
def test_a_removal_that_cannot_blend_is_refused_by_name(inner):
    with pytest.raises(UnsupportedError, match=f"that take soft masks, such as fill or blur, got '{inner.card.name}'"):
        SmoothEdges(inner)


def test_what_is_no_removal_is_refused(unchecked):
    with pytest.raises(UnknownNameError, match="unknown removal 'fil'; did you mean 'fill'"):
        REMOVALS.build({"name": "smooth_edges", "removal": "fil"})
    with pytest.raises(InvalidValueError, match="removal of smooth_edges must be Removal, got 'fill'"):
        SmoothEdges("fill")


@pytest.mark.parametrize(("key", "value"), [("kernel", 4), ("kernel", 0), ("sigma", 0.0), ("sigma", float("nan"))])
def test_a_kernel_that_is_none_is_refused(key, value):
    with pytest.raises(InvalidValueError, match=f"{key} of removal smooth_edges must be .* got"):
        SmoothEdges(**{key: value})
