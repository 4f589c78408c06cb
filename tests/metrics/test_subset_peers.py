"""Quantus, captum and Xplique's formula on the same model, images, maps and draws.

Quantus is given pixels' visibility as its input (1 = visible, baseline 0) and a model that multiplies the image by it,
so that its features are pixels and not the three colours of each one by one.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import xai_bench as xb
from xai_bench.engine import Case, Engine, Masks, Pixel, Scene
from xai_bench.metrics import score
from xai_bench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xai_bench.metrics.faithfulness_estimate import FaithfulnessEstimate
from xai_bench.metrics.infidelity import Infidelity
from xai_bench.metrics.mu_fidelity import MuFidelity
from xai_bench.metrics.sensitivity_n import SensitivityN
from xai_bench.metrics.subsets import RankGroups
from xai_bench.removal import Fill
from xai_bench.types import Batch

pytestmark = pytest.mark.filterwarnings("ignore")  # whatever the peers and what they import warn of
HALF = (0.5, 0.5, 0.5)
PAD = {"mobilenetv2_100": {"pad_type": "same"}, "vit_tiny_patch16_224": {}}


class Bench(NamedTuple):
    """A model with images and maps; removed pixels are 0 after normalisation."""

    scene: Scene
    maps: Tensor
    samples: int

    @property
    def case(self) -> Case:
        return Case(self.scene, self.maps)

    @property
    def inputs(self) -> Tensor:
        return self.scene.model.normalise(self.scene.batch.images)

    @property
    def targets(self) -> np.ndarray:
        return self.scene.targets.numpy()


def small(sharpness: float = 6, size: tuple[int, int] = (16, 20)) -> Bench:
    torch.manual_seed(0)
    head = nn.Linear(8, 4)
    head.weight.data *= sharpness
    module = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    images = torch.rand(16, 3, *size, generator=torch.Generator().manual_seed(1))
    model = xb.load_model(module.eval(), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), input_size=size)
    return of(model, Batch(images, tuple(map(str, range(16)))), 30)


def of(model, batch, samples) -> Bench:
    """Maps of distinct values, for which no library's order of ties counts."""
    generator, (count, _, height, width) = torch.Generator().manual_seed(3), batch.images.shape
    orders = [torch.randperm(height * width, generator=generator).view(height, width) for _ in range(count)]
    return Bench(Scene(model, batch, engine=Engine(model, chunk=32)), torch.stack(orders) / (height * width), samples)


@pytest.fixture(scope="module", params=["small", *(pytest.param(name, marks=pytest.mark.realset) for name in PAD)])
def bench(request):
    pytest.importorskip("quantus")
    if request.param == "small":
        return small()
    realset = request.getfixturevalue("realset")
    weights = realset / "weights" / f"{request.param}.safetensors"
    settings = {"mean": HALF, "std": HALF, "device": "cpu"} | PAD[request.param]
    model = xb.load_model(f"timm:{request.param}", checkpoint=weights, **settings)
    return of(model, xb.load_data("imagenet_val", path=realset, size=224, n=4).batch(0, 4), 4)


class OfVisibility(nn.Module):
    """Logits of the images, (B, 3, H, W) normalised, of which (B, 1, H, W) pixels are visible.

    They come as float64, so that a softmax and a difference after them lose nothing; as float32 where `rounded`.
    """

    def __init__(self, model: nn.Module, inputs: Tensor, rounded: bool) -> None:
        super().__init__()
        self.model, self.inputs, self.rounded = model, inputs, rounded

    def forward(self, visible: Tensor) -> Tensor:
        logits = self.model(self.inputs * visible.float())
        return logits if self.rounded else logits.double()


def quantus(name, bench, rows=slice(None), inputs=None, maps=None, rounded=False, **options):
    """A metric of Quantus on pixels' visibility, scored per image on probabilities."""
    import quantus as peer

    inputs = bench.inputs[rows] if inputs is None else inputs
    maps = bench.maps[rows] if maps is None else maps
    metric = getattr(peer, name)(
        normalise=False, perturb_baseline=0.0, return_aggregate=False, disable_warnings=True, **options
    )
    visible = np.ones((len(inputs), 1, *inputs.shape[2:]))
    targets = np.broadcast_to(bench.targets[rows], len(inputs))
    module = OfVisibility(bench.scene.model.module, inputs, rounded).eval()
    return metric(
        module, visible, targets, maps.double().numpy()[:, None], softmax=True, batch_size=len(inputs), device="cpu"
    )


def ours(metric, bench):
    return score(metric, bench.case).values.tolist()


def hidden(metric, bench):
    """Which pixels each draw of each image hides, (B, S, H W)."""
    masks = metric.questions[0]
    return torch.stack([~masks.keep(bench.case, row) for row in range(len(bench.maps))]).flatten(2)


@pytest.mark.parametrize("similarity", ["pearson", "spearman"])
def test_faithfulness_correlation_is_that_of_quantus(bench, monkeypatch, similarity):
    from quantus.functions import similarity_func

    if similarity == "spearman" and bench.samples < 10:
        pytest.skip("the small model shows it")
    metric = FaithfulnessCorrelation(size=0.3, samples=bench.samples, similarity=similarity)
    drawn = hidden(metric, bench)
    size = int(drawn[0, 0].sum())
    queue = iter([drawn[row, run].nonzero()[:, 0].numpy() for run in range(bench.samples) for row in range(len(drawn))])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(queue))
    measure = getattr(similarity_func, f"correlation_{similarity}")
    theirs = quantus("FaithfulnessCorrelation", bench, subset_size=size, nr_runs=bench.samples, similarity_func=measure)

    assert next(queue, None) is None
    assert ours(metric, bench) == pytest.approx(theirs, abs=1e-4)


def test_faithfulness_estimate_is_that_of_quantus(bench):
    class InGroups(FaithfulnessEstimate):
        """Quantus' features_in_step: neighbours in the ranking are removed together."""

        questions = property(lambda self: (RankGroups(self.removal, groups, "first"),))

    pixels = bench.maps[0].numel()
    groups = 16 if pixels < 1000 else 7
    theirs = quantus("FaithfulnessEstimate", bench, features_in_step=pixels // groups)

    assert ours(InGroups(), bench) == pytest.approx(theirs, abs=1e-4)


def test_drops_near_probability_1_are_lost_in_a_softmax_of_float32_and_not_here():
    pytest.importorskip("quantus")
    bench = small(sharpness=40)
    found = ours(FaithfulnessEstimate(unit=Pixel()), bench)
    exact, rounded = (
        quantus("FaithfulnessEstimate", bench, features_in_step=1, rounded=rounded) for rounded in (False, True)
    )

    assert found == pytest.approx(exact, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(found, rounded, strict=True)) > 5e-3


def test_the_estimate_of_single_pixels_is_that_of_quantus():
    pytest.importorskip("quantus")
    bench = small()

    assert ours(FaithfulnessEstimate(unit=Pixel()), bench) == pytest.approx(
        quantus("FaithfulnessEstimate", bench, features_in_step=1), abs=1e-4
    )


def test_sensitivity_n_is_that_of_quantus_where_its_batch_is_the_draws(bench):
    # Quantus correlates over the images of a batch, at each step of one nested removal. One image many times, with maps
    # that put another subset of half the pixels first each time, makes its first step sensitivity-n of one image.
    metric = SensitivityN(sizes=(0.5,), samples=bench.samples)
    drawn, found = hidden(metric, bench), ours(metric, bench)
    pixels = bench.maps[0].numel()
    for row in range(len(found)):
        first = bench.maps[row] + 8 * drawn[row].view(-1, *bench.maps.shape[1:])  # adds the same to each sum
        theirs = quantus(
            "SensitivityN",
            bench,
            [row],
            bench.inputs[[row]].expand(len(first), -1, -1, -1),
            first,
            features_in_step=pixels // 2,
            n_max_percentage=0.5,
        )

        assert found[row] == pytest.approx(float(np.squeeze(theirs)), abs=1e-4)


class Blocks(Masks):
    """Quantus' patches row by row: each with all before it (its quirk), or each alone."""

    def __init__(self, side: int, nested: bool) -> None:
        self.removal, self.side, self.nested = Fill(), side, nested

    def keep(self, case, row):
        height, width = case.maps.shape[1:]
        place = torch.arange(height)[:, None] // self.side * (width // self.side) + torch.arange(width) // self.side
        steps = torch.arange(place.max() + 1)[:, None, None]
        return place > steps if self.nested else place != steps


def in_blocks(side, nested):
    class InBlocks(Infidelity):
        questions = property(lambda self: (masks,))

    masks = Blocks(side, nested)
    return InBlocks(normalise=False)


def test_infidelity_is_that_of_quantus_where_perturbations_do_not_add_up(bench):
    # one patch as large as the image
    square = bench.maps.shape[1] if bench.maps.shape[1] == bench.maps.shape[2] else 4
    nested, alone = (ours(in_blocks(square, nested), bench) for nested in (True, False))
    theirs = quantus("Infidelity", bench, perturb_patch_sizes=[square], n_perturb_samples=1)

    # Quantus adds the maps up in float64, ours are exact
    assert nested == pytest.approx(theirs, rel=1e-5, abs=1e-4)
    if square == 4:
        assert alone != pytest.approx(theirs, rel=0.1)
    else:
        assert alone == nested


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("perturbation", "shape"), [("mask", "square"), ("difference", "pixels")])
def test_infidelity_is_that_of_captum(bench, normalise, perturbation, shape):
    from captum.metrics import infidelity

    metric = Infidelity(
        samples=min(bench.samples, 3) if bench.maps[0].numel() > 1000 else bench.samples,
        shape=shape,
        size=0.3,
        perturbation=perturbation,
        normalise=normalise,
    )
    images, maps = bench.scene.batch.images, bench.maps / bench.maps[0].numel()
    gone = hidden(metric, bench).view(-1, 1, *maps.shape[1:]).float()
    mean = torch.tensor(bench.scene.model.mean).view(3, 1, 1)

    def perturb(repeated):
        change = gone * (repeated - mean)
        return (gone.expand_as(repeated) / 3 if perturbation == "mask" else change), repeated - change

    def probabilities(pictures):
        return torch.cat([bench.scene.model(part).softmax(1) for part in pictures.split(32)])

    theirs = infidelity(
        probabilities,
        perturb,
        images,
        maps[:, None].expand_as(images),
        target=bench.scene.targets,
        n_perturb_samples=metric.samples,
        normalize=normalise,
    )

    assert score(metric, Case(bench.scene, maps)).values.tolist() == pytest.approx(theirs.tolist(), abs=1e-4, rel=1e-4)


class Bernoulli(Masks):
    """Xplique's draw: each cell of a 9 x 9 grid is hidden with probability 0.2, the same for all images."""

    removal = Fill()

    def __init__(self, samples: int) -> None:
        kept = torch.rand(samples, 1, 9, 9, generator=torch.Generator().manual_seed(6)) > 0.2
        self.kept = kept.float()

    def keep(self, case, row):
        return nn.functional.interpolate(self.kept, case.maps.shape[1:], mode="nearest-exact")[:, 0].bool()


def test_mu_fidelity_is_the_formula_of_xplique(bench):
    class OfXplique(MuFidelity):
        questions = property(lambda self: (masks,))

    masks = Bernoulli(bench.samples)
    model, inputs, expected = bench.scene.model, bench.inputs, []
    with torch.inference_mode():
        clean = model.module(inputs).double().softmax(1)
        for row, target in enumerate(bench.targets):
            kept = masks.keep(bench.case, row)
            altered = model.module(inputs[row] * kept[:, None]).double().softmax(1)[:, target]
            sums = (bench.maps[row].double() * ~kept).sum((1, 2))
            expected.append(spearmanr(clean[row, target] - altered, sums)[0])

    # drops that differ by one rounding of float32 may change places
    assert ours(OfXplique(), bench) == pytest.approx(expected, abs=1e-4)
    assert masks.kept.flatten(1).sum(1).unique().numel() > 3  # its subsets differ in size, the paper's do not


def test_subsets_of_different_sizes_raise_the_score_of_a_random_map():
    class OfXplique(MuFidelity):
        questions = property(lambda self: (masks,))

    bench, masks = small(size=(18, 18)), Bernoulli(200)  # cells of one size
    theirs, equal = (torch.tensor(ours(metric, bench)).mean().item() for metric in (OfXplique(), MuFidelity()))

    # the maps are random: with subsets of one size they are expected to score 0
    assert theirs > 0.3
    assert abs(equal) < 0.1
