"""Linear imputation against planes, scipy's sparse solver, and the libraries that have it."""

import warnings
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn

from xai_bench.adapters import Preprocessing, VisionModel
from xai_bench.catalogue import label
from xai_bench.engine import Engine, Scene
from xai_bench.errors import InvalidValueError, UnknownNameError
from xai_bench.removal import REMOVALS, NoisyLinear
from xai_bench.removal.imputation import impute
from xai_bench.seeding import Noise
from xai_bench.types import Batch

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
EXACT = {torch.float32: 1e-4, torch.float64: 1e-6}  # what is promised; what is reached is 1e-7 and 1e-10


@pytest.fixture
def model() -> VisionModel:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 32, 5))
    return VisionModel(module, name="linear", mean=MEAN, std=STD, preprocessing=Preprocessing((24, 32)))


def random(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def square(height: int, width: int, border: int) -> Tensor:
    """Removed but for a border."""
    keep = torch.ones(height, width)
    keep[border : height - border, border : width - border] = 0
    return keep


def ring(side: int) -> Tensor:
    """A ring removed, with visible pixels inside and outside."""
    apart = torch.arange(side) - side / 2
    distance = torch.hypot(apart[:, None], apart[None])
    return 1 - ((distance > side / 5) & (distance < side / 3)).float()


def corner(height: int, width: int) -> Tensor:
    """Everything removed but two pixels."""
    keep = torch.zeros(height, width)
    keep[0, :2] = 1
    return keep


def sparse_solution(image: Tensor, keep: Tensor) -> np.ndarray:
    """The definition, pixel by pixel: sum over neighbours inside of w (x_i - x_j) = 0 for each removed i."""
    values, kept = image.double().numpy(), keep.numpy() > 0
    height, width = kept.shape
    removed = list(zip(*(axis.tolist() for axis in np.nonzero(~kept)), strict=True))
    number = {pixel: count for count, pixel in enumerate(removed)}
    entries, right = [], np.zeros((len(removed), len(values)))
    for row, (y, x) in enumerate(removed):
        for dy, dx in product((-1, 0, 1), repeat=2):
            if (dy, dx) == (0, 0) or not (0 <= y + dy < height and 0 <= x + dx < width):
                continue
            weight = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
            entries.append((weight, row, row))
            if (y + dy, x + dx) in number:
                entries.append((-weight, row, number[y + dy, x + dx]))
            else:
                right[row] += weight * values[:, y + dy, x + dx]
    weights, rows, columns = zip(*entries, strict=True)
    matrix = coo_matrix((weights, (rows, columns)))  # adds up what has the same place
    solved = values.copy()
    solved[:, ~kept] = spsolve(matrix.tocsc(), right).reshape(len(removed), -1).T
    return solved


MASKS: dict[str, Tensor] = {
    "half of the pixels": (random(1, 33, 40) > 0.5).float(),
    "most of the pixels": (random(2, 61, 32) > 0.97).float(),
    "a square": square(64, 64, 6),
    "all but a square": 1 - square(50, 49, 20),
    "a border": 1 - square(40, 57, 5),
    "a ring": ring(70),
    "all but two pixels": corner(48, 48),
    "one row": (random(3, 1, 30) > 0.6).float(),
    "one column": (random(4, 30, 1) > 0.6).float(),
    "a few pixels": torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
    "a square of 180 in 224": square(224, 224, 22),
    "pixels here and there": (random(5, 130, 97) > 0.99).float(),
    "all but two pixels of 224": corner(224, 224),
}
SOLVERS = {"sparse": 1.0, "dissection": 0.0}  # up to which share of removed pixels the sparse solver is taken


@pytest.fixture(params=SOLVERS)
def solver(request, monkeypatch) -> str:
    """Both ways to the solution, whatever is removed."""
    monkeypatch.setattr("xai_bench.removal.imputation.FEW", SOLVERS[request.param])
    return request.param


@cache
def expected(name: str) -> np.ndarray:
    return sparse_solution(random(6, 3, *MASKS[name].shape), MASKS[name])


@pytest.mark.parametrize("name", MASKS)
def test_removed_pixels_are_the_sparse_systems_solution(name, solver):
    keep = MASKS[name]
    if solver == "sparse" and "224" in name:
        pytest.skip("the sparse solver gets no image of which so much is removed; smaller ones show it right")
    image = random(6, 3, *keep.shape)

    for dtype, tolerance in EXACT.items():
        found = impute(image[None].to(dtype), keep[None])[0]
        assert found.dtype == dtype
        np.testing.assert_allclose(found.double().numpy(), expected(name), atol=tolerance, rtol=0)
        assert torch.equal(found[:, keep > 0], image.to(dtype)[:, keep > 0])


def test_an_inclined_plane_is_found_again(solver):
    """A mean over neighbours that lie symmetrically reproduces what is linear; the image's border must be kept."""
    height, width = 40, 56
    plane = torch.linspace(0, 0.4, height)[:, None] + torch.linspace(0.1, 0.6, width)
    keep = torch.maximum(square(height, width, 1), (random(7, height, width) > 0.99).float())
    holed = torch.where(keep > 0, plane, 0.0).expand(1, 3, height, width)

    torch.testing.assert_close(impute(holed, keep[None])[0], plane.expand(3, -1, -1), atol=1e-6, rtol=0)


def test_between_two_columns_lies_a_ramp(solver):
    """Whole columns have no neighbours above and below that differ, so that the image's border does no harm."""
    keep = torch.zeros(9, 11)
    keep[:, 0] = keep[:, -1] = 1
    image = torch.zeros(1, 3, 9, 11)
    image[..., -1] = 1.0

    torch.testing.assert_close(impute(image, keep[None])[0, 1], torch.linspace(0, 1, 11).expand(9, 11))


def test_a_pixel_alone_is_its_neighbours_weighted_mean(solver):
    image = torch.arange(9.0).view(1, 1, 3, 3) ** 2
    middle, edge, tip = (torch.ones(1, 3, 3) for _ in range(3))
    middle[0, 1, 1] = edge[0, 0, 1] = tip[0, 0, 0] = 0

    assert impute(image, middle)[0, 0, 1, 1].item() == pytest.approx((1 + 9 + 25 + 49) / 6 + (4 + 36 + 64) / 12)
    assert impute(image, edge)[0, 0, 0, 1].item() == pytest.approx(((4 + 16) / 6 + (9 + 25) / 12) / (3 / 6 + 2 / 12))
    assert impute(image, tip)[0, 0, 0, 0].item() == pytest.approx(((1 + 9) / 6 + 16 / 12) / (2 / 6 + 1 / 12))


def test_what_is_behind_removed_pixels_does_not_matter(solver):
    images, keep = random(8, 2, 3, 30, 30), (random(9, 2, 30, 30) > 0.7).float()

    assert torch.equal(impute(images, keep), impute(images * keep[:, None], keep))


def test_an_image_does_not_depend_on_its_batch(solver, monkeypatch):
    """An easy and a hard mask, an empty and a full one, in one batch and alone."""
    images = random(10, 4, 3, 48, 48)
    keep = torch.stack([(random(11, 48, 48) > 0.1).float(), corner(48, 48), torch.zeros(48, 48), torch.ones(48, 48)])
    alone = impute(images, keep)
    monkeypatch.setattr("xai_bench.removal.imputation.AT_ONCE", {"cpu": 4})

    torch.testing.assert_close(impute(images, keep), alone, atol=1e-6, rtol=0)
    assert impute(images[:0], keep[:0]).shape == (0, 3, 48, 48)


def test_rounding_by_autocast_is_not_let_in(solver):
    images, keep = random(12, 1, 3, 48, 48), square(48, 48, 4)[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        rounded = impute(images, keep)

    assert torch.equal(rounded, impute(images, keep))


def test_what_an_inference_left_in_memory_is_of_use_outside_it(solver):
    with torch.inference_mode():
        impute(random(13, 1, 3, 17, 19), corner(17, 19)[None])
    images = random(13, 1, 3, 17, 19).requires_grad_()

    assert impute(images, corner(17, 19)[None]).isfinite().all()


@pytest.mark.parametrize(("units", "scales"), [("image", (0.01,) * 3), ("normalised", [0.01 * std for std in STD])])
def test_the_noise_has_its_size_in_its_units(model, units, scales):
    images, keep = random(14, 2, 3, 120, 120), (random(15, 2, 120, 120) > 0.5).float()
    removal = NoisyLinear(units=units)
    state = removal.prepare(model, images, Noise(0, "removal", ("a", "b")))
    noise = removal.alter(images, keep, state) - impute(images, keep)
    removed = noise.movedim(1, 0)[:, keep == 0]

    assert torch.equal(noise.movedim(1, 0)[:, keep == 1], torch.zeros_like(noise.movedim(1, 0)[:, keep == 1]))
    np.testing.assert_allclose(removed.std(1), scales, rtol=0.03)
    np.testing.assert_allclose(removed.mean(1) / torch.tensor(scales), 0, atol=0.03)


def test_the_noise_is_the_samples_own_and_the_same_at_every_step(model):
    def noise(seed, ids, keep):
        images = torch.full((len(ids), 3, 24, 32), 0.5)
        state = NoisyLinear().prepare(model, images, Noise(seed, "removal", ids))
        return NoisyLinear().alter(images, keep.expand(len(ids), 24, 32), state) - 0.5

    few, more = square(24, 32, 9), square(24, 32, 5)
    first = noise(0, ("a", "b"), few)

    torch.testing.assert_close(noise(0, ("b",), more)[0, :, few == 0], first[1, :, few == 0], atol=1e-6, rtol=0)
    for other in (noise(0, ("c",), few), noise(1, ("a",), few)):
        assert (other[0] - first[0])[:, few == 0].abs().mean() > 0.005


def test_with_nothing_visible_there_is_the_mean_colour_with_noise(model):
    images = random(16, 2, 3, 24, 32)
    state = NoisyLinear().prepare(model, images, Noise(0, "removal", ("a", "b")))
    altered = NoisyLinear().alter(images, torch.zeros(2, 24, 32), state)

    torch.testing.assert_close(altered.mean((2, 3)), torch.tensor(MEAN).expand(2, 3), atol=1e-6, rtol=0)
    assert altered.std((2, 3)).sub(0.01).abs().max() < 0.001


def test_with_everything_visible_the_image_is_untouched(model):
    images = random(17, 2, 3, 24, 32)
    state = NoisyLinear().prepare(model, images, Noise(0, "removal", ("a", "b")))

    assert torch.equal(NoisyLinear().alter(images, torch.ones(2, 24, 32), state), images)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_engine_sees_the_imputed_pixels(model, precision):
    """Not a mixture of the image and its substrate, which is what it makes of removals that only put pixels."""
    images, keep = random(18, 2, 3, 24, 32), (random(19, 2, 24, 32) > 0.5).float()
    scene = Scene(model, Batch(images, ("a", "b")), engine=Engine(model, precision=precision))
    removal = NoisyLinear(noise=0)
    with scene.engine.ready(removal) as eyes:
        seen = removal.see(eyes, images, keep, scene.state(removal))

    tolerance = {"fp32": 1e-5, "bf16": 5e-2}[precision]
    torch.testing.assert_close(seen, model(impute(images, keep)).detach(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", ["half of the pixels", "a square", "all but a square", "a ring", "a border"])
def test_it_is_grad_cams_on_the_normalised_image(model, name):
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    keep = MASKS[name]
    images = random(20, 1, 3, *keep.shape)
    removal = NoisyLinear(noise=0, units="normalised")
    state = removal.prepare(model, images, Noise(0, "removal", ("a",)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it hands tensors to numpy
        theirs = road.NoisyLinearImputer(noise=0)(model.normalise(images)[0], keep)

    torch.testing.assert_close(model.normalise(removal.alter(images, keep[None], state))[0], theirs, atol=1e-4, rtol=0)


def test_it_is_quantus_on_a_grey_image():
    """Its indices are those of one colour: with three it takes the same indices for an image three times as long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        perturb = pytest.importorskip("quantus.functions.perturb_func")
        image, keep = random(21, 1, 24, 24), (random(22, 24, 24) > 0.5).float()
        removed = np.flatnonzero(keep.numpy() == 0)
        theirs = perturb.noisy_linear_imputation(image.double().numpy(), removed, noise=0.0)

    np.testing.assert_allclose(impute(image[None].double(), keep[None])[0], theirs, atol=1e-6)


def test_the_protocol_adds_noise_to_the_normalised_image():
    assert REMOVALS.build("noisy_linear@gradcam") == NoisyLinear(units="normalised")
    assert label(NoisyLinear()) == "noisy_linear"


@pytest.mark.parametrize("noise", [-0.01, float("nan"), float("inf")])
def test_noise_that_is_no_deviation_is_refused(noise):
    with pytest.raises(InvalidValueError, match=r"noise of removal noisy_linear .* at least 0, got"):
        NoisyLinear(noise)


def test_unknown_units_are_refused(unchecked):
    with pytest.raises(UnknownNameError, match="unknown units of noisy_linear 'normalized'; did you mean 'normalised'"):
        NoisyLinear(units="normalized")
