"""What the ERSM study says of tables that are written by hand: every claim, chosen images and findings."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from xai_bench.claims import judge
from xai_bench.studies.ersm import ErsmSettings, judged
from xai_bench.studies.ersm.heads import Variant
from xai_bench.studies.ersm.judged import described, head_of
from xai_bench.studies.ersm.measured import _hidden
from xai_bench.studies.ersm.panels import _chosen
from xai_bench.studies.ersm.settings import MAIN
from xai_bench.studies.ersm.written import findings, notes, swept

SETTINGS = ErsmSettings(seeds=(0, 1), margin=0.2)
IMAGES = 40
PUBLISHED, ROBUST, HEAD_P, HEAD_F = "published", "robust", "head, published recipe", "head, fast recipe"
NONE_P, NONE_R = "published, no energy", "robust, no energy"

RIGHT = {  # shares of images, in steps of 1/40
    "test": {PUBLISHED: 0.6, HEAD_P: 0.4, ROBUST: 0.5, HEAD_F: 1.0, "plain": 0.55},
    "shifted": {PUBLISHED: 0.2, HEAD_P: 0.5, ROBUST: 0.9, HEAD_F: 0.6, "plain": 0.7},
}
OF_MASKS = {  # keep, active, told apart, of split test
    PUBLISHED: (0.3, 0.1, 0.8),
    NONE_P: (0.5, 0.2, 0.9),
    ROBUST: (0.6, 0.7, 0.45),
    NONE_R: (0.4, 0.9, 0.25),
}
ON_OBJECT = {"test": {PUBLISHED: 0.3, ROBUST: 0.1}, "shifted": {PUBLISHED: 0.2, ROBUST: 0.6}}  # object: 0.2
AREAS = {  # energy, magnitude, gradcam, random, energy without the term
    ("test", PUBLISHED): (50, 60, 45, 47, 49),
    ("test", ROBUST): (70, 50, 75, 90, 80),
    ("shifted", PUBLISHED): (40, 30, 52, 33, 44),
    ("shifted", ROBUST): (20, 25, 11, 8, 3),
}
LOCATED = {
    (PUBLISHED, "energy"): 0.3,
    (NONE_P, "energy"): 0.35,
    (HEAD_P, "gradcam"): 0.1,
    (ROBUST, "energy"): 0.1,
    (NONE_R, "energy"): 0.04,
    (HEAD_F, "gradcam"): 0.4,
    (PUBLISHED, "gradcam"): 0.9,
    (ROBUST, "gradcam"): 0.9,
}
CLEAN = {PUBLISHED: 1.0, HEAD_P: 0.9, ROBUST: 0.9, HEAD_F: 1.0, "plain": 0.9}
OCCLUDED = {  # at the one share there is: placed random, object, background
    "square": {PUBLISHED: (0.9, 0.2, 0.7), HEAD_P: (0.3, 0.6, 0.3), ROBUST: (0.2, 0.8, 0.2), HEAD_F: (0.6, 0.4, 0.8)},
    "grid": {PUBLISHED: (0.1, 0.2, 0.3), HEAD_P: (0.5, 0.5, 0.8), ROBUST: (0.9, 0.7, 0.8), HEAD_F: (0.1, 0.2, 0.3)},
}
HEAD, PLAIN = "against the head without a mask", "against the plain model"
BY = "deleting tokens by energy keeps more accuracy than deleting them by"
LESS = "accuracy falls less under structured occlusion than that of the head without a mask"
ISOLATES = "the mask isolates the object: more of it lies there"
BETTER = "an open learnt start, stronger weights and a faster recipe are better than what was published"
EXPECTED = {
    f"published: {BY} magnitude": {"test": -10, "shifted": 10},
    f"published: {BY} Grad-CAM": {"test": 5, "shifted": -12},
    f"published: {BY} random": {"test": 3, "shifted": 7},
    "published: the energy term improves the order": {"test": 1, "shifted": -4},
    f"robust: {BY} magnitude": {"test": 20, "shifted": -5},
    f"robust: {BY} Grad-CAM": {"test": -5, "shifted": 9},
    f"robust: {BY} random": {"test": -20, "shifted": 12},
    "robust: the energy term improves the order": {"test": -10, "shifted": 17},
    "published: masks become sparse": {"test": 0.4},
    "robust: masks become sparse": {"test": -0.2},
    "published: the energy term makes masks sparser": {"test": 0.2},
    "robust: the energy term makes masks sparser": {"test": -0.2},
    "published: accuracy is preserved": {f"{HEAD}, test": 0.2, f"{PLAIN}, test": 0.05},
    "robust: accuracy is preserved": {f"{HEAD}, test": -0.5, f"{PLAIN}, test": -0.05},  # at most 0.2 may be lost
    "published: accuracy on a further split is higher than without a mask": {
        f"{HEAD}, shifted": -0.3,
        f"{PLAIN}, shifted": -0.5,
    },
    "robust: accuracy on a further split is higher than without a mask": {
        f"{HEAD}, shifted": 0.3,
        f"{PLAIN}, shifted": 0.2,
    },
    "published: accuracy under structured occlusion is higher than without a mask": {
        f"square, placed random, {HEAD}": 0.35,  # (1 + 0.9) / 2 - (0.9 + 0.3) / 2
        f"square, placed object, {HEAD}": -0.15,
        f"square, placed background, {HEAD}": 0.25,
        f"square, all placements, {HEAD}": 0.15,
        f"square, all placements, {PLAIN}": 0.3,
        f"grid, placed random, {HEAD}": -0.15,
        f"grid, placed object, {HEAD}": -0.1,
        f"grid, placed background, {HEAD}": -0.2,
        f"grid, all placements, {HEAD}": -0.15,
        f"grid, all placements, {PLAIN}": 0.1,
    },
    f"published: {LESS}": {"square": 0.05, "grid": -0.25},  # 0.9 - 0.65 - (1 - 0.8); 0.9 - 0.75 - (1 - 0.6)
    "robust: accuracy under structured occlusion is higher than without a mask": {
        f"square, placed random, {HEAD}": -0.25,
        f"square, placed object, {HEAD}": 0.15,
        f"square, placed background, {HEAD}": -0.35,
        f"square, all placements, {HEAD}": -0.15,
        f"square, all placements, {PLAIN}": 0.15,
        f"grid, placed random, {HEAD}": 0.35,
        f"grid, placed object, {HEAD}": 0.2,
        f"grid, placed background, {HEAD}": 0.2,
        f"grid, all placements, {HEAD}": 0.25,
        f"grid, all placements, {PLAIN}": 0.35,
    },
    f"robust: {LESS}": {"square": -0.05, "grid": 0.35},  # 1 - 0.8 - (0.9 - 0.65); 1 - 0.6 - (0.9 - 0.85)
    f"published: {ISOLATES}": {
        "than the object's share of the image, test": 0.1,
        "than that of lambda = gamma = 0, test": -0.05,
        "than that of Grad-CAM on the head without a mask, test": 0.2,
    },
    f"robust: {ISOLATES}": {
        "than the object's share of the image, test": -0.1,
        "than that of lambda = gamma = 0, test": 0.06,
        "than that of Grad-CAM on the head without a mask, test": -0.3,
    },
    "published: the mask ranks the object's tokens above the background's": {"test": 0.8},
    "robust: the mask ranks the object's tokens above the background's": {"test": 0.45},
    "published: the energy term makes the mask rank the object higher": {"test": -0.1},
    "robust: the energy term makes the mask rank the object higher": {"test": 0.2},
}
OF_SETTINGS = [20, -20, -0.1, 0.7, -0.2, 0.4]  # areas, accuracy, share on the object; test before shifted
OPEN = {(f"published: {LESS}", "square"), (f"robust: {LESS}", "square")}  # a twentieth, of forty images
BOUNDS = {"accuracy is preserved": -0.2, "above the background's": 0.5}


def samples() -> Iterator[tuple[int, str, int, float]]:
    """seed, name, number, and a small distance that is 0 on average."""
    for seed in (0, 1):
        for image in range(IMAGES):
            yield seed, f"image-{image:02d}", image, 0.002 * (1 - 2 * ((image + seed) % 2))


def images() -> pd.DataFrame:
    rows = []
    for split, right in RIGHT.items():
        for name in (*OF_MASKS, HEAD_P, HEAD_F, "plain"):
            keep, active, apart = OF_MASKS.get(name, (np.nan,) * 3)
            for seed, sample, image, off in samples():
                row = {"seed": seed, "split": split, "sample": sample, "model": str(MAIN.get(name, name))}
                row |= {"correct": image < round(IMAGES * right.get(name, 0)), "area of object": 0.2 + off}
                wrong = split != "test"  # what only the first split is judged by
                row |= {"keep": keep + off, "active": (1 - active if wrong else active) - off}
                row |= {"told apart": (1 - apart if wrong else apart) + off}
                if name in ON_OBJECT[split]:
                    row |= {"energy in mask": ON_OBJECT[split][name] - off, "area, energy": AREAS[split, name][0] + off}
                rows.append(row)
    return pd.DataFrame(rows)


def deletions() -> pd.DataFrame:
    rows = []
    for (split, name), areas in AREAS.items():
        orders = [(name, order) for order in ("energy", "magnitude", "gradcam", "random")]
        for (model, order), area in zip([*orders, (f"{name}, no energy", "energy")], areas, strict=True):
            for seed, sample, image, off in samples():
                row = {"seed": seed, "split": split, "sample": sample, "model": model, "order": order}
                rows += [row | {"compensated": False, "area": area + off * (image % 3 - 1)}]
                rows += [row | {"compensated": True, "area": 100.0 - area}]
    return pd.DataFrame(rows)


def localisation() -> pd.DataFrame:
    rows = []
    for (model, kind), score in LOCATED.items():
        for seed, sample, _, off in samples():
            row = {"seed": seed, "split": "test", "sample": sample, "model": model, "map": kind}
            rows += [row | {"metric": "energy in mask", "score": score + off}, row | {"metric": "iou", "score": 0.5}]
    return pd.DataFrame(rows)


def occlusions() -> pd.DataFrame:
    rows = []
    for seed, sample, image, _ in samples():
        row = {"seed": seed, "sample": sample, "kind": "none", "placement": "none", "share": 0.0, "fill": "none"}
        rows.append(row | {model: image < round(IMAGES * level) for model, level in CLEAN.items()})
        for kind, models in OCCLUDED.items():
            for place, placement in enumerate(("random", "object", "background")):
                levels = {model: each[place] for model, each in models.items()} | {"plain": 0.1}
                right = {model: image < round(IMAGES * level) for model, level in levels.items()}
                rows.append(row | {"kind": kind, "placement": placement, "share": 0.5, "fill": "mean"} | right)
    return pd.DataFrame(rows)


def on_paper() -> dict[str, pd.DataFrame]:
    tables = {"images": images(), "deletions": deletions(), "localisation": localisation(), "occlusions": occlusions()}
    return {name: table.sample(frac=1, random_state=0) for name, table in tables.items()}


@pytest.fixture(scope="module")
def found():
    return [(claim, judge(claim)) for claim in judged.claims(on_paper(), SETTINGS)]


def test_every_claim_has_the_mean_that_it_has_on_paper(found):
    means = {(claim.says, claim.where): verdict.mean for claim, verdict in found if claim.says != BETTER}
    expected = {(says, where): mean for says, parts in EXPECTED.items() for where, mean in parts.items()}

    assert means == pytest.approx(expected, abs=1e-6)
    assert list(dict.fromkeys(says for says, _ in means))[:3] == list(EXPECTED)[:3]
    assert [verdict.mean for claim, verdict in found if claim.says == BETTER] == pytest.approx(OF_SETTINGS, abs=1e-6)
    assert [claim.where for claim, _ in found if claim.says == BETTER] == ["test", "shifted"] * 3


def test_every_claim_has_the_verdict_of_its_mean(found):
    """Numbers lie well off their bound, which is 0 but for two sentences."""
    for claim, verdict in found:
        bound = next((value for words, value in BOUNDS.items() if words in claim.says), 0)
        expected = "held" if verdict.mean > bound else "refuted"
        expected = "open" if (claim.says, claim.where) in OPEN else expected

        assert claim.above == bound, claim.says
        assert verdict.verdict == expected, (claim.says, claim.where, verdict)


def test_what_is_said_of_several_stands_together(found):
    """So that the page counts it under one heading."""
    order = [(claim.says, claim.source) for claim, _ in found]
    heads = [key for number, key in enumerate(order) if number == 0 or order[number - 1] != key]

    assert len(heads) == len(set(heads))
    assert len(found) == len({(claim.says, claim.where, claim.measured) for claim, _ in found})


def test_without_objects_nothing_is_said_of_them(found):
    tables = on_paper()
    without = judged.claims({**tables, "localisation": tables["localisation"][:0]}, SETTINGS)

    assert len(without) == len(found) - 2 * 5 - 2
    assert not any("object" in claim.says for claim in without)


@pytest.mark.parametrize(("name", "head"), [("published", HEAD_P), ("robust", HEAD_F), ("demo", HEAD_F)])
def test_a_mask_stands_beside_the_head_of_its_own_recipe(name, head):
    assert head_of(name) == head


def test_the_page_says_what_its_settings_are():
    other = replace(SETTINGS, recipe=replace(SETTINGS.recipe, epochs=7, lr=0.5), pretrained=True)
    usual, changed = " ".join(notes(SETTINGS)), " ".join(notes(other))

    assert "20 epochs, cosine rate set anew every epoch, batch 32" in usual
    assert "7 epochs" in changed
    assert "adamw at 0.5" in described("published", other)
    assert ("closed start (bias 6, fixed), lambda = 0.001, gamma = 0.001" in usual) is True
    assert ("trained on the very images" in usual, "trained on the very images" in changed) == (True, False)
    assert ("that of the demo" in usual, "that of the demo" in " ".join(notes(replace(other, fast_recipe=other.recipe)))
            ) == (True, False)  # fmt: skip
    assert {claim.note for claim in judged.claims(on_paper(), other) if "become sparse" in claim.says} == {
        f"{described(name, other)}; the paper gives no number, below one half is our reading" for name in judged.ROWS
    }


def chosen() -> dict[str, list[str]]:
    rows = [  # sample, right by the mask, by its head, by the other head, confidence, keep
        ("low", True, False, True, 0.6, 0.5),
        ("high", True, False, True, 0.9, 0.5),
        ("middle", True, False, True, 0.7, 0.5),
        ("lowest", True, False, True, 0.5, 0.5),
        ("both", True, True, False, 0.99, 0.5),
        ("focused", False, False, False, 0.3, 0.1),
        ("distracted", False, True, True, 0.4, 0.9),
        ("confident", False, True, True, 0.8, 0.6),
        ("neither", False, False, False, 0.2, 0.4),
    ]
    table = pd.DataFrame(rows, columns=["sample", "mine", HEAD_P, HEAD_F, "confidence", "keep"])
    models = {str(MAIN["published"]): "mine", HEAD_P: HEAD_P, HEAD_F: HEAD_F}
    parts = [table[["sample", "confidence", "keep"]].assign(model=m, correct=table[c]) for m, c in models.items()]
    found: dict[str, list[str]] = {}
    for group, sample in _chosen(pd.concat(parts), "published"):
        found.setdefault(group, []).append(sample)
    return found


def test_images_are_shown_where_the_mask_helped_and_where_it_failed():
    assert chosen() == {
        "improvement": ["high", "middle", "low"],
        "failure: focused": ["focused"],
        "failure: distracted": ["distracted"],
        "failure: confident": ["confident"],
    }


def test_hidden_is_the_share_of_the_object_that_is_covered():
    keep, regions = torch.ones(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    keep[:, 0] = 0
    regions[0, :, 0] = True
    assert _hidden(keep, regions).tolist() == [0.25, 0]  # one of four pixels; no object


def sweep() -> tuple[dict[str, pd.DataFrame], ErsmSettings]:
    levels = {0.0: (0.6, 0.5), 0.1: (0.8, 0.25), 1.0: (0.7, 0.005)}  # told apart, keep
    rows = [
        {"seed": seed, "split": split, "sample": sample, "model": str(Variant("published", "closed", False, w, w)),
         "correct": image % 2 == 0, "keep": keep / (1 + (split != "test")), "told apart": apart}
        for split in ("test", "shifted")
        for w, (apart, keep) in levels.items()
        for seed, sample, image, _ in samples()
    ]  # fmt: skip
    return {"images": pd.DataFrame(rows)}, replace(SETTINGS, weights=tuple(levels))


def test_findings_name_the_control_the_best_weight_and_what_shut():
    place = "published recipe, closed fixed"
    assert list(findings(*sweep())) == [
        (
            "published recipe, closed, fixed bias: without any energy the mask tells object from background at 0.60 "
            "(0.5 knows nothing) and keeps 50%; the best weight, 0.1, reaches 0.80 and keeps 25.0%."
        ),
        (
            "Masks that keep less than 1 % or more than 99 % on average, and so hide nearly all or nothing: "
            f"{place}, 1/1 (0.50%)."
        ),
    ]


def test_a_sweep_has_one_row_per_training_split_and_mask():
    table = swept(*sweep())

    assert len(table) == 2 * 2 * 3
    assert set(table["correct"]) == {0.5}
    here = table[(table["split"] == "shifted") & (table["unary"] == 0.1)]
    assert here["keep"].tolist() == pytest.approx([0.125, 0.125])
