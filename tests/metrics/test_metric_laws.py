"""Laws that hold for every metric of the catalogue, whatever it measures."""

import dataclasses
import math
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from xai_bench.adapters import VisionModel
from xai_bench.catalogue import label
from xai_bench.engine import Case, Pixel, Scene
from xai_bench.errors import UnsupportedError
from xai_bench.metrics import METRICS, score
from xai_bench.oracles import as_model
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
}
UNSTATED = {"confidence"}  # entries of which no direction is better
VALUES = {"average_drop", "increase_in_confidence", "average_gain", "adcc"}  # the map's values count, and are rounded
# every entry with its defaults, under every protocol, and in the variants that take another path
WANTED = [
    *METRICS,
    *(f"{name}@{protocol}" for name, kind in METRICS.items() for protocol in kind.protocols),
    {"name": "accuracy", "order": "morf", "unit": {"name": "patch", "side": 4}},
    {"name": "unchanged_predictions", "order": "lerf", "unit": {"name": "patch", "side": 4}},
    {"name": "class_entropy", "order": "morf", "unit": {"name": "patch", "side": 4}},
    {"name": "deletion", "output": "margin", "removal": "fill"},
    {"name": "pointing_game", "at": "original"},
    {"name": "average_drop", "scaling": "positive"},
    {"name": "average_gain", "scaling": "absolute", "removal": {"name": "fill", "colour": "black"}},
    {"name": "inside_minus_outside", "share": 0.2},
    {"name": "mask_leakage", "removal": "layer_masking"},
    {"name": "lime_alignment", "removal": "layer_masking"},
    {"name": "patch_linearity", "removal": "layer_masking", "side": 8, "patches": "all"},
    {"name": "patch_linearity_error", "of": "logits", "side": 8},
]


def build(wanted):
    """An entry, with the settings without which it has nothing to measure here."""
    table = wanted if isinstance(wanted, dict) else {"name": wanted}
    return METRICS.build(NEEDED.get(table["name"], {}) | table)


def quick(wanted):
    """Fewer steps, the same law."""
    metric = build(wanted)
    return dataclasses.replace(metric, steps=6) if getattr(metric, "steps", 0) > 10 else metric


EVERY = [pytest.param(quick(wanted), id=label(build(wanted))) for wanted in WANTED]
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


def case(relevance=None, pictures=None, seed=0):
    scene = Scene(MODEL, pictures or batch(), seed=seed)
    return Case(scene, maps() if relevance is None else relevance, lambda images: images.mean(1))


def scored(metric, relevance=None, pictures=None, seed=0):
    return score(metric, case(relevance, pictures, seed))


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

    @pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
    def test_positive_rescaling_of_the_map_changes_nothing(self, metric, scale):
        assert scored(metric, maps() * scale).values.tolist() == pytest.approx(
            scored(metric).values.tolist(), abs=1e-5 if metric.card.name in VALUES else 1e-12
        )

    def test_states_direction_source_summary_and_version(self, metric):
        card = metric.card

        assert card.better in (("unstated",) if card.name in UNSTATED else ("higher", "lower"))
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
            if isinstance(value, int | float):
                other = 0.9 if isinstance(value, float) else 9
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

        assert together == pytest.approx(alone, abs=1e-5)

    def test_one_bad_map_leaves_the_others_their_scores(self, metric):
        relevance = maps()
        relevance[1] = math.nan
        values, reasons = scored(metric, relevance).values, scored(metric, relevance).reasons
        good = [0, 2, 3]

        assert values[good].tolist() == pytest.approx(scored(metric).values[good].tolist(), abs=1e-5)
        assert reasons[1] == ("map is not finite" if "ranking" in metric.needs else "")


@pytest.mark.parametrize("metric", RANKING)
class TestEveryMetricThatRanks:
    @pytest.mark.parametrize(
        ("bad", "reason"), [(0.0, "constant"), (1.0, "constant"), (math.nan, "not finite"), (math.inf, "not finite")]
    )
    def test_an_unrankable_map_is_undefined(self, metric, bad, reason):
        values, reasons = (
            scored(metric, torch.full((4, *SIZE), bad)).values,
            metric.undefined(case(torch.full((4, *SIZE), bad))),
        )

        assert values.isnan().all()
        assert set(reasons) == {f"map is {reason}"}

    def test_a_monotone_change_of_the_map_changes_nothing(self, metric):
        if "monotone" in metric.card.exempt:
            pytest.skip(metric.card.exempt["monotone"])
        if getattr(metric, "unit", Pixel()) != Pixel() or getattr(metric, "at", "") == "original":
            pytest.skip("averages over cells or resizes the map, so more than the ranking counts")

        assert scored(metric, maps().exp()).values.tolist() == pytest.approx(scored(metric).values.tolist(), abs=1e-12)


def test_the_variants_cover_both_paths_of_every_choice():
    assert {entry.values[0].card.name for entry in EVERY} == set(METRICS)
