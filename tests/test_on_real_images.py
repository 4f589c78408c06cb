"""Real weights on real annotated images: figures measured before by other code (README of the set) come out again."""

import pytest
import torch

import xai_bench as xb

HALF = (0.5, 0.5, 0.5)
MODELS = {
    "mobilenetv2_100": {"pad_type": "same"},
    "vit_tiny_patch16_224": {},
}
# model -> top-1, pointing game of Grad-CAM at the true label: no tolerance, 15 px at 224, 15 px in original pixels
FIGURES = {
    "mobilenetv2_100": (0.762, 0.842, 0.933, 0.903),
    "vit_tiny_patch16_224": (0.802, 0.728, 0.839, 0.809),
}
GAMES = [
    {"name": "pointing_game", "tolerance": 0},
    {"name": "pointing_game", "tolerance": 15},
    {"name": "pointing_game", "tolerance": 15, "at": "original"},
]


def load(name, realset, **changed):
    weights = realset / "weights" / f"{name}.safetensors"
    settings = {"mean": HALF, "std": HALF} | MODELS[name] | changed
    return xb.load_model(f"timm:{name}", checkpoint=weights, device="cpu", **settings)


@pytest.fixture(scope="module", params=MODELS)
def scored(request, realset):
    """Scores on all 298 images, and hits by the set's own rule, from the same maps."""
    model, data = load(request.param, realset), xb.load_data("imagenet_val", path=realset, size=224)
    kept = []

    def gradcam(model, images, targets):
        kept.append(xb.explain("gradcam", model, images, targets))
        return kept[-1]

    results = xb.evaluate(
        [model], [gradcam, "centre"], [*GAMES, "top1"], data, target="label", gallery=0, progress=False
    )
    hits = [
        hit for batch, maps in zip(data, kept, strict=True) for hit in map(on_a_box, maps, batch.sizes, batch.boxes)
    ]
    return request.param, results.summary().set_index(["explainer", "metric"])["mean"], sum(hits) / len(hits)


def on_a_box(relevance, size, boxes):
    """The set's rule without tolerance: the first highest pixel, its corner scaled to the original, borders inside."""
    row, column = divmod(relevance.argmax().item(), relevance.shape[1])
    y, x = row * size[0] / relevance.shape[0], column * size[1] / relevance.shape[1]
    return any(box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1 for box in boxes)


@pytest.mark.realset
def test_top1_is_the_published_one(scored):
    name, means, _ = scored

    assert means["none", "top1"] == pytest.approx(FIGURES[name][0], abs=0.002)


@pytest.mark.realset
def test_gradcam_points_where_it_did(scored):
    name, means, hits = scored
    _, exact, near, original = FIGURES[name]

    assert hits == pytest.approx(exact, abs=0.002)
    assert means["gradcam", "pointing_game"] == pytest.approx(near, abs=0.01)
    assert means["gradcam", "pointing_game(at=original)"] == pytest.approx(original, abs=0.01)


@pytest.mark.realset
def test_the_centre_point_is_the_floor_it_was(scored):
    _, means, _ = scored

    assert means["centre", "pointing_game(tolerance=0)"] == pytest.approx(0.903, abs=0.01)
    assert means["centre", "pointing_game"] == pytest.approx(0.943, abs=0.01)


@pytest.mark.realset
def test_wrong_padding_and_colours_cost_accuracy(realset):
    """The set says 0.591 against 0.762: a wrong setting must show, not be mended silently."""
    batch = xb.load_data("imagenet_val", path=realset, size=224, n=96).batch(0, 96)
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    right, wrong = (load("mobilenetv2_100", realset, **changed) for changed in ({}, imagenet | {"pad_type": ""}))
    with torch.inference_mode():
        accuracy = [(model(batch.images).argmax(1) == batch.labels).float().mean().item() for model in (right, wrong)]

    assert accuracy[0] - accuracy[1] > 0.05


@pytest.mark.realset
@pytest.mark.parametrize(("data", "least"), [("coco_cc", 0.4), ("cc_masks", 0.5)])  # floors that a broken reader misses
def test_masks_of_real_images_can_be_pointed_at(realset, data, least):
    model = load("mobilenetv2_100", realset)
    images = xb.load_data(data, path=realset, size=224)
    scores = xb.evaluate([model], ["gradcam"], [GAMES[1]], images, gallery=0, progress=False).scores

    assert len(scores) == len(images)
    assert scores.score.mean() >= least
