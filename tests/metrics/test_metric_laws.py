"""Laws that hold for every metric of the catalogue, whatever it measures."""

import copy
import dataclasses
import math
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import label
from xai_bench.engine import Case, Patch, Pixel, Scene
from xai_bench.errors import UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.oracles import Linear, as_model
from xai_bench.removal import Fill
from xai_bench.types import Batch

SIZE = (20, 24)
CELLS = {"name": "patch", "side": 4}
MATRIX = Path(mkdtemp()) / "similarities.npy"
np.save(MATRIX, np.eye(4) * 0.5 + 0.5)
# settings without which an entry has nothing to measure here: a file, or segments in images this small
NEEDED = {
    "label_similarity": {"matrix": str(MATRIX)},
    "lime_alignment": {"unit": CELLS, "samples": 16},
    "lime_jaccard": {"unit": CELLS, "samples": 16},
    "lime_ablation": {"unit": CELLS, "samples": 16},
    **{name: {"train": {"name": "planted", "n": 8}, "fractions": [0.3, 0.6]} for name in ("roar", "kar", "diffroar")},
}
# every entry with its defaults, under every protocol, and in the variants that take another path
WANTED = [
    *METRICS,
    *(f"{name}@{protocol}" for name, kind in METRICS.items() for protocol in kind.protocols),
    {"name": "accuracy", "order": "morf", "unit": {"name": "patch", "side": 4}},
    {"name": "unchanged_predictions", "order": "lerf", "unit": {"name": "patch", "side": 4}},
    {"name": "class_entropy", "order": "morf", "unit": {"name": "patch", "side": 4}},
    {"name": "deletion", "output": "margin", "removal": "fill"},
    {"name": "pointing_game", "at": "original"},
    {"name": "energy_pointing_game", "part": "absolute"},
    {"name": "energy_pointing_game", "part": "minmax"},
    {"name": "iou", "threshold": "best"},
    {"name": "iou", "threshold": "area"},
    {"name": "soft_iou", "scaling": "absolute"},
    {"name": "insertion", "output": "hit", "unit": {"name": "patch", "side": 6}, "steps": "each", "ends": "neither"},
    {"name": "road", "order": "lerf"},
    {"name": "road", "order": "combined", "output": "hit"},
    {"name": "region_perturbation", "reading": "lerf", "unit": {"name": "patch", "side": 4}},
    {"name": "region_perturbation", "reading": "abpc", "unit": {"name": "patch", "side": 4}, "regions": 8},
    {"name": "selectivity", "steps": "adaptive", "output": "margin"},
    {"name": "monotonicity", "reading": "share", "unit": {"name": "slic", "segments": 9}},
    {"name": "minimal_sufficient_region", "rule": "stays"},
    {"name": "minimal_sufficient_region", "level": 0.5},
    {"name": "cgc", "reading": "as_coded", "group": [0, 1, 2]},
    {"name": "cgs", "reading": "as_coded", "against": 1},
    {"name": "average_drop", "scaling": "positive"},
    {"name": "average_gain", "scaling": "absolute", "removal": {"name": "fill", "colour": "black"}},
    {"name": "inside_minus_outside", "share": 0.2},
    {"name": "mask_leakage", "removal": "layer_masking"},
    {"name": "lime_alignment", "removal": "layer_masking"},
    {"name": "patch_linearity", "removal": "layer_masking", "side": 8, "patches": "all"},
    {"name": "patch_linearity_error", "of": "logits", "side": 8},
    {"name": "faithfulness_correlation", "similarity": "spearman", "size": 0.2, "unit": CELLS},
    {"name": "infidelity", "shape": "pixels", "perturbation": "difference"},
]


# metrics that a random map satisfies as well on a model that adds up positive parts -> why
EQUAL = {"monotonicity": "in any order each part that is shown only adds"}
AVERAGED = "relevance is averaged over units, so more than the ranking of pixels counts"
# variants of metrics that keep the law of monotone maps by default -> why they do not
MORE_THAN_RANKS = {
    "accuracy(order=morf,unit=patch(side=4))": AVERAGED,
    "unchanged_predictions(order=lerf,unit=patch(side=4))": AVERAGED,
    "class_entropy(order=morf,unit=patch(side=4))": AVERAGED,
    "insertion(steps=each,output=hit,unit=patch(side=6),ends=neither)": AVERAGED,
    "pointing_game(at=original)": "the map is resized before its peak is found",
}
# (metric, law) -> why it does not hold; the cards say the same
EXEMPT = {
    ("region_perturbation", "monotone"): "relevance is averaged over units",
    ("selectivity", "monotone"): "relevance is averaged over units",
    ("irof", "monotone"): "relevance is averaged over units",
    ("monotonicity", "monotone"): "relevance is averaged over units",
    ("monotonicity_correlation", "monotone"): "relevance is summed over units",
    ("monotonicity_correlation", "perfect"): "random colours change the output otherwise than removal does",
    ("faithfulness_correlation", "monotone"): "the map's values are added up",
    ("faithfulness_estimate", "monotone"): "the map's values are added up",
    ("mu_fidelity", "monotone"): "the map's values are added up",
    ("sensitivity_n", "monotone"): "the map's values are added up",
    ("infidelity", "scale"): "without `normalise` the map's scale is part of what it measures; with it the law holds",
    ("infidelity", "monotone"): "the map's values are added up",
    ("saco", "monotone"): "differences of saliency are the weights",
    ("average_drop", "monotone"): "the map's values are the mask",
    ("average_drop", "perfect"): "a map that shows nearly everything changes nothing",
    ("increase_in_confidence", "monotone"): "the map's values are the mask",
    ("increase_in_confidence", "perfect"): "a map that shows nearly everything changes nothing",
    ("average_gain", "monotone"): "the map's values are the mask",
    ("average_gain", "perfect"): "a map that shows nearly everything changes nothing",
    ("adcc", "monotone"): "the map's values are the mask",
    ("adcc", "perfect"): "a faithful map of a broad cause is complex",
    ("roar", "perfect"): "the model is trained anew, so what is relevant to the old one need not be to the new",
    ("kar", "perfect"): "the model is trained anew, so what is relevant to the old one need not be to the new",
    ("diffroar", "perfect"): "the model is trained anew, so what is relevant to the old one need not be to the new",
    ("energy_pointing_game", "monotone"): "the map's values are added up",
    ("iou", "monotone"): "the map's values are cut at a threshold",
    ("soft_iou", "monotone"): "the map's values are the mask",
    ("completeness", "scale"): "the map's sum is what it measures",
    ("completeness", "monotone"): "the map's values are added up",
    ("confidence", "direction"): "a model can be rightly or wrongly sure of itself",
}


def build(wanted):
    """An entry, with the settings without which it has nothing to measure here."""
    table = wanted if isinstance(wanted, dict) else {"name": wanted}
    return METRICS.build(NEEDED.get(table["name"], {}) | table)


def quick(wanted):
    """Fewer steps, the same law."""
    metric = build(wanted)
    fewer = {"steps": 6, "samples": 8, "epochs": 1, "repeats": 1}
    known = {field.name: getattr(metric, field.name) for field in dataclasses.fields(metric)}
    changed = {key: most for key, most in fewer.items() if isinstance(known.get(key), int) and known[key] > most}
    return dataclasses.replace(metric, **changed) if changed else metric


def judges_maps(metric):
    """Not one that judges removals, nor RFxG's code, whose sums have no contrast and so no better end."""
    return metric.card.family in ("faithfulness", "localisation") and getattr(metric, "reading", "") != "as_coded"


def that_claim(law):
    """The entries for which a law of maps holds."""
    return [entry for entry in OF_MAPS if law not in entry.values[0].card.exempt]


EVERY = [pytest.param(quick(wanted), id=label(build(wanted)).replace(str(MATRIX), "a file")) for wanted in WANTED]
OF_MAPS = [entry for entry in EVERY if "maps" in entry.values[0].needs]
RANKING = [entry for entry in EVERY if "ranking" in entry.values[0].needs]
PER_IMAGE = [entry for entry in EVERY if entry.values[0].card.scope == "image"]


def small_model() -> VisionModel:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, 2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    )
    with torch.no_grad():
        module[4].weight.mul_(40)
    return as_model(module.eval(), SIZE, "1")


MODEL = small_model()


def batch(count=4, start=0):
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(8, 3, *SIZE, generator=generator)[start : start + count]
    regions = torch.zeros(8, *SIZE, dtype=torch.bool)
    for i in range(8):
        regions[i, 2 + i : 6 + i, 3:9] = True
    labels = MODEL(images).argmax(1)  # classified correctly
    ids = tuple(f"s{i}" for i in range(start, start + count))
    return Batch(images, ids, labels=labels, regions=regions[start : start + count])


def maps(count=4, start=0):
    return torch.rand(8, *SIZE, generator=torch.Generator().manual_seed(8))[start : start + count]


def explained(images):
    """Stands for an explainer where a metric needs one."""
    return images.pow(2).mean(1)


def case(relevance=None, pictures=None, seed=0, model=MODEL, explain=explained):
    scene = Scene(model, pictures or batch(), seed=seed)
    return Case(scene, maps() if relevance is None else relevance, explain, lambda other: explain(other.batch.images))


def scored(metric, relevance=None, pictures=None, **options):
    return score(metric, case(relevance, pictures, **options))


@pytest.mark.parametrize("metric", EVERY)
class TestEveryMetric:
    def test_gives_one_bounded_score_per_image_or_set(self, metric):
        values, reasons = scored(metric).values, scored(metric).reasons
        low, high = metric.bounds

        assert values.shape == ((4,) if metric.card.scope == "image" else (1,))
        assert values.dtype == torch.float64
        assert set(reasons) == {""}
        assert all(low - 1e-9 <= value <= high + 1e-9 for value in values.tolist())

    def test_is_reproducible(self, metric):
        assert torch.equal(scored(metric).values, scored(metric).values)

    def test_leaves_its_inputs_alone(self, metric):
        pictures, relevance = batch(), maps()
        scored(metric, relevance, pictures)

        assert torch.equal(pictures.images, batch().images)
        assert torch.equal(relevance, maps())

    def test_states_direction_source_summary_and_version(self, metric):
        card = metric.card

        assert card.better in ("higher", "lower") or "direction" in card.exempt
        assert card.source
        assert card.summary
        assert card.version >= 1
        assert card.low < card.high

    def test_the_spec_holds_every_parameter_and_the_target_rule(self, metric):
        spec = metric.spec("label")

        assert all(f"{field.name}=" in spec for field in dataclasses.fields(metric))
        assert "target=label" in spec
        assert "resampling=" in spec or "maps" not in metric.needs

    def test_another_parameter_is_another_spec(self, metric):
        for field in dataclasses.fields(metric):
            value = getattr(metric, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                other = value / 2 or 0.5 if isinstance(value, float) else 9
                assert dataclasses.replace(metric, **{field.name: other}).spec() != metric.spec()

    def test_its_formula_has_at_most_seven_parameters(self, metric):
        assert len(dataclasses.fields(metric)) <= 7

    def test_what_it_needs_and_the_data_lack_is_refused_in_a_sentence(self, metric):
        for need in metric.needs & {"regions", "labels"}:
            bare = dataclasses.replace(batch(), **{need: None})
            with pytest.raises(
                UnsupportedError, match=f"metric '{metric.card.name}' needs {need}, but the data have none"
            ):
                scored(metric, pictures=bare)

    def test_an_unreadable_image_is_undefined_with_its_reason(self, metric):
        pictures = batch()
        faulty = Batch(**(vars(pictures) | {"faults": ("", "cannot read b", "", "")}))
        values, reasons = scored(metric, pictures=faulty).values, metric.undefined(case(pictures=faulty))

        assert reasons == ("", "cannot read b", "", "")
        assert not values[0].isnan()
        assert metric.card.scope == "set" or values[1].isnan()


@pytest.mark.parametrize("metric", PER_IMAGE)
class TestEveryMetricOfImages:
    def test_batch_size_and_order_change_nothing(self, metric):
        alone = [scored(metric, maps(1, i), batch(1, i)).values.item() for i in (3, 1, 0, 2)]
        together = scored(metric).values[[3, 1, 0, 2]].tolist()

        assert together == pytest.approx(alone, rel=1e-5, abs=1e-5)

    def test_one_bad_map_leaves_the_others_their_scores(self, metric):
        relevance = maps()
        relevance[1] = math.nan
        values, reasons = scored(metric, relevance).values, scored(metric, relevance).reasons
        good = [0, 2, 3]

        assert values[good].tolist() == pytest.approx(scored(metric).values[good].tolist(), abs=1e-5)
        assert reasons[1] == ("map is not finite" if "maps" in metric.needs else "")


@pytest.mark.parametrize("metric", OF_MAPS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_map_that_is_not_finite_is_undefined(metric, bad):
    broken = torch.full((4, *SIZE), bad)
    reasons = metric.undefined(case(broken))

    assert scored(metric, broken).values.isnan().all()
    assert set(reasons) == {"map is not finite"}


@pytest.mark.parametrize("metric", [entry for entry in that_claim("constant") if entry in RANKING])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_constant_map_is_undefined(metric, level):
    flat = torch.full((4, *SIZE), level)

    assert scored(metric, flat).values.isnan().all()
    assert set(metric.undefined(case(flat))) == {"map is constant"}


@pytest.mark.parametrize("metric", that_claim("scale"))
@pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
def test_positive_rescaling_of_the_map_changes_nothing(metric, scale):
    rescaled = scored(metric, maps() * scale, explain=lambda images: explained(images) * scale).values

    assert rescaled.tolist() == pytest.approx(scored(metric).values.tolist(), abs=1e-5)


@pytest.mark.parametrize("metric", [entry for entry in that_claim("monotone") if entry.id not in MORE_THAN_RANKS])
def test_a_monotone_change_of_the_map_changes_nothing(metric):
    changed = scored(metric, maps().exp(), explain=lambda images: explained(images).exp()).values

    assert changed.tolist() == pytest.approx(scored(metric).values.tolist(), abs=1e-12)


@pytest.mark.parametrize("metric", RANKING)
def test_a_map_that_varies_within_its_units_alone_is_undefined(metric):
    if getattr(metric, "unit", Pixel()) == Pixel() or not isinstance(metric.unit, Patch):
        return  # its units see every pixel, or follow the picture
    side = metric.unit.side
    stripes = (torch.arange(SIZE[1]) % side < side / 2).float().expand(4, *SIZE).contiguous()
    width = SIZE[1] // side * side
    if width < SIZE[1]:
        return  # the last column of cells is cut

    assert set(metric.undefined(case(stripes))) == {"all units are equally relevant"}


DOUBLE = copy.deepcopy(MODEL)
with torch.no_grad():
    DOUBLE.module[4].weight.mul_(2)
    DOUBLE.module[4].bias.mul_(2)


@pytest.mark.parametrize("metric", PER_IMAGE)
def test_the_output_enters_the_score_with_the_power_that_the_card_states(metric):
    if metric.degree is None or "output" not in {field.name for field in dataclasses.fields(metric)}:
        return  # a score that no scale of the output can change
    logits = dataclasses.replace(metric, output="logit")
    single, double = (scored(logits, model=model).values for model in (MODEL, DOUBLE))

    assert double.tolist() == pytest.approx((single * 2**metric.degree).tolist(), rel=1e-3, abs=1e-6)


class Shares(Linear):
    """Logits (t, t / 2, middle, middle / 2), t a weighted sum of the pixels: where they go, other classes win."""

    def __init__(self, weights, middle):
        super().__init__(weights)
        self.middle = middle

    def forward(self, images):
        total = super().forward(images)[:, 0]
        middle = torch.full_like(total, self.middle)
        return torch.stack([total, total / 2, middle, middle / 2], 1)


class TestOfALinearModel:
    """Its output is a sum over pixels, so that the map of each pixel's share is the perfect one."""

    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(3, *SIZE, generator=generator).square() * 0.05
    images = torch.rand(4, 3, *SIZE, generator=generator) * 0.5 + 0.25

    def perfect(self, images):
        return (images * self.weights).sum(1)

    def random(self, images):
        return torch.rand(len(images), *SIZE, generator=torch.Generator().manual_seed(4))

    def mean_score(self, metric, explain):
        relevance = self.perfect(self.images)
        regions = relevance >= relevance.flatten(1).quantile(0.9, 1)[:, None, None]
        labels = torch.zeros(4, dtype=torch.int64)
        pictures = Batch(self.images, ("a", "b", "c", "d"), labels=labels, regions=regions)
        model = as_model(Shares(self.weights, relevance.sum().item() / 8), SIZE)
        return scored(metric, explain(self.images), pictures, model=model, explain=explain).values.mean().item()

    @pytest.mark.parametrize("metric", [entry for entry in that_claim("perfect") if judges_maps(entry.values[0])])
    def test_a_perfect_map_never_scores_worse_than_a_random_one(self, metric):
        paper = on_paper(metric)
        perfect, random = self.mean_score(paper, self.perfect), self.mean_score(paper, self.random)
        ahead = perfect - random if metric.card.better == "higher" else random - perfect

        assert ahead >= -1e-9
        assert ahead > 1e-4 or metric.card.family != "faithfulness" or metric.card.name in EQUAL


def on_paper(metric):
    """Removed pixels turn black and the logit is read, so that removal costs a linear model what the map says."""
    known = {field.name for field in dataclasses.fields(metric)}
    wanted = {"removal": Fill("black"), "output": "logit", "unit": Pixel()}
    return dataclasses.replace(metric, **{key: value for key, value in wanted.items() if key in known})


def test_what_does_not_hold_is_listed_with_its_reason():
    claimed = {(name, law): reason for name, kind in METRICS.items() for law, reason in kind.card.exempt.items()}

    assert claimed == EXEMPT
    assert set(MORE_THAN_RANKS) <= {entry.id for entry in EVERY}
    assert {law for _, law in claimed} <= {"scale", "monotone", "constant", "perfect", "direction"}


def test_the_variants_cover_both_paths_of_every_choice():
    assert {entry.values[0].card.name for entry in EVERY} == set(METRICS)
