"""The ERSM study, end to end on a few images and a training too short to learn anything."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xai_bench.adapters import load_model
from xai_bench.errors import InvalidValueError, UnsupportedError
from xai_bench.studies.ersm import ErsmSettings, frozen, run_ersm, study, training
from xai_bench.studies.ersm.settings import MAIN
from xai_bench.training import Recipe

SHORT = Recipe(epochs=1, batch_size=16, lr=1e-2)
SMALL = ErsmSettings(
    train=32,
    test=10,
    occluded=6,
    seeds=(0, 1),
    weights=(0.0, 0.1),
    areas=(0.2, 0.5),
    fractions=(0.5,),
    fills=("mean", "blur"),
    backbone_recipe=SHORT,
    recipe=SHORT,
    fast_recipe=SHORT,
)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    out = tmp_path_factory.mktemp("ersm")
    tables, page = run_ersm(SMALL, out, progress=False)
    return tables, page, out


def test_every_mask_sees_every_image(studied):
    images = studied[0]["images"]
    models = len(SMALL.variants) + 3  # two heads without a mask, and the plain model

    assert len(images) == 2 * 2 * 10 * models
    assert images.groupby(["seed", "split", "sample"]).size().eq(models).all()
    assert {str(variant) for variant in MAIN.values()} <= set(images["model"])


def test_claims_tables_and_figures_are_on_the_page(studied):
    page, text = studied[1].read_text(), (studied[1].parent / "study.md").read_text()
    claims = pd.read_csv(studied[1].parent / "tables/claims.csv")

    assert {"held", "refuted", "open"} >= set(claims["verdict"])
    for words in ("by magnitude", "by Grad-CAM", "by random", "sparse", "accuracy is preserved", "structured occlusion",
                  "isolates the object", "what was published"):  # fmt: skip
        assert claims["claim"].str.contains(words).any(), words
        assert words in text
    for name in ("sweep-test", "sweep-shifted", "deletion", "keep", "occlusion"):
        assert all((studied[1].parent / f"figures/{name}.{form}").stat().st_size for form in ("pdf", "svg", "png"))
    assert "http://" not in re.sub(r"http://www.w3.org\S+", "", page)
    assert "https://" not in page


def test_tables_agree_with_each_other(studied):
    """The main models' areas are computed twice, by the sweep and by the close look."""
    images, deletions = studied[0]["images"], studied[0]["deletions"]
    for name, variant in MAIN.items():
        here = (deletions["model"] == name) & (deletions["order"] == "energy") & ~deletions["compensated"]
        close = deletions[here].set_index(["seed", "split", "sample"])["area"].sort_index()
        swept = images[images["model"] == str(variant)].set_index(["seed", "split", "sample"])["area, energy"]

        pd.testing.assert_series_equal(close, swept.sort_index(), check_names=False)


def test_the_clean_image_is_judged_alike_with_and_without_cached_features(studied):
    images, occlusions = studied[0]["images"], studied[0]["occlusions"]
    clean = occlusions[occlusions["kind"] == "none"].set_index(["seed", "sample"])
    for name, model in [("published", str(MAIN["published"])), ("robust", str(MAIN["robust"])), ("plain", "plain")]:
        cached = images[(images["split"] == "test") & (images["model"] == model)].set_index(["seed", "sample"])

        assert (cached["correct"].reindex(clean.index) == clean[name]).all()


@pytest.mark.usefixtures("drawn_once")
def test_a_second_start_trains_and_measures_nothing(studied, monkeypatch):
    tables, page, out = studied
    before, makers = page.read_bytes(), study._makers
    monkeypatch.setattr(
        study, "_makers", lambda training: [(name, split, _refused) for name, split, _ in makers(training)]
    )
    monkeypatch.setattr(training, "train_heads", None)
    monkeypatch.setattr(frozen, "train_plain", None)
    again, _ = run_ersm(SMALL, out, progress=False)

    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert page.read_bytes() == before
    assert not list((out / "features").glob("*"))


@pytest.mark.parametrize(
    ("backbone", "factory"),
    [("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)}), ("vit_tiny_patch16_224", {"depth": 1})],
)
def test_a_backbone_whose_last_map_is_no_map_of_channels_is_refused_before_it_is_trained(backbone, factory, tmp_path):
    settings = replace(SMALL, backbone=backbone, factory=factory)

    with pytest.raises(UnsupportedError, match=rf"backbone 'timm:{backbone}' of study ersm .* \(B, C, h, w\)"):
        frozen.trunk(settings, 0, tmp_path / "plain.safetensors", device="cpu", progress=False)


def test_patches_that_do_not_fit_the_map_are_refused_before_the_backbone_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "train_plain", None)

    with pytest.raises(InvalidValueError, match="cannot be cut into patches of patch_size 3"):
        frozen.trunk(replace(SMALL, patch_size=3), 0, tmp_path / "plain.safetensors", device="cpu", progress=False)


def _refused() -> pd.DataFrame:
    raise AssertionError("this table is there")


def test_what_decides_no_number_costs_nothing(studied, monkeypatch):
    """Other seeds and margins; a further image is measured anew by models that are there."""
    one, other, third = (
        training.Training(replace(SMALL, **changes), 0, studied[2])
        for changes in ({}, {"seeds": (0, 7), "margin": 0.5}, {"test": 11})
    )

    assert one.decides == other.decides != third.decides
    assert one._name == third._name
    assert one._name != training.Training(replace(SMALL, weights=(0.0, 0.2)), 0, studied[2])._name


def test_a_model_of_the_study_loads_by_itself(studied):
    path = next((studied[2] / "models").glob("robust-0-*.safetensors"))
    model = load_model(path)
    images = studied[0]["images"]
    mine = images[(images["model"] == str(MAIN["robust"])) & (images["seed"] == 0) & (images["split"] == "test")]
    batch = next(iter(training.Training(SMALL, 0, studied[2]).data("test")))
    keep = model.module.forward_masked(model.normalise(batch.images))[1].keep

    np.testing.assert_allclose(keep.mean((1, 2)).detach().numpy(), mine["keep"], rtol=1e-4)
