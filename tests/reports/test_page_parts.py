"""What travels inside of the page: maps as order and values, substrates as the removals make them, sizes that fit."""

import base64
import dataclasses
import json
from importlib import import_module
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from synthetic_run import HOSTILE, make_run

from xai_bench.removal import Blur, Fill
from xai_bench.reports import analyse
from xai_bench.reports.html import breakable, policy, script, stored
from xai_bench.reports.page.explorer import explorer
from xai_bench.reports.page.hidden import Removed, part, removals, substrate
from xai_bench.reports.page.lines import lines
from xai_bench.reports.page.pixels import KNOTS, outline, reduced, shrunk, thumbnails, webp
from xai_bench.reports.tables.leaderboard import leaderboard
from xai_bench.reports.tables.scores import scores
from xai_bench.seeding import Noise

MODEL = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def opened(source):
    return np.asarray(Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))


def picture(side=48):
    y, x = np.mgrid[:side, :side] / side
    return np.round(255 * np.stack([x, y, (x + y) / 2], axis=2)).astype(np.uint8)


def test_a_map_travels_as_the_order_of_its_pixels():
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    found = reduced(values, 8)

    assert found.levels.tolist() == (4 * (63 - values)).astype(int).tolist()  # rank 0 is the largest; 256 / 64 = 4
    assert (found.low, found.high) == (0.0, 63.0)


def test_the_values_along_the_order_fall_from_the_highest_to_the_lowest():
    values = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    found = reduced(values, 32)
    exact = np.sort(values.ravel())[::-1][[4 * knot + 2 for knot in KNOTS]]

    assert np.diff(found.knots.astype(int)).max() <= 0
    assert found.knots / 255 * (found.high - found.low) + found.low == pytest.approx(exact, abs=0.02)


def test_equal_values_come_in_a_random_order_that_is_always_the_same():
    flat = np.zeros((16, 16), np.float32)
    flat[0, 0] = 1
    first, second = reduced(flat, 16), reduced(flat, 16)

    assert first.levels.tolist() == second.levels.tolist()
    assert first.levels[0, 0] == 0
    assert abs(np.corrcoef(first.levels.ravel(), np.arange(256))[0, 1]) < 0.2


def test_maps_shrink_by_means_and_never_grow():
    values = np.array([[0, 2, 4, 6], [2, 4, 6, 8]], np.float32)

    assert shrunk(values, 2).tolist() == [[2, 6]]
    assert shrunk(values, 9) is values


def test_a_region_travels_as_bits():
    region = np.zeros((2, 9), bool)
    region[0, 0] = region[1, 8] = True

    assert outline(region) == (9, 2, base64.b64encode(bytes([0b10000000, 0b00000000, 0b01000000])).decode())


def test_pictures_are_as_large_as_fits():
    pictures = [picture(200), picture(200)]
    large, small = (len(webp(picture(200), side)) for side in (160, 40))

    assert [opened(source).shape[0] for source in thumbnails(pictures, (160, 40), 2 * large)] == [160, 160]
    assert [opened(source).shape[0] for source in thumbnails(pictures, (160, 40), 2 * large - 1)] == [40, 40]
    assert [opened(source).shape[0] for source in thumbnails(pictures, (160, 40), small)] == [40, 40]


def seen(removal, image):
    """What the removal itself puts in the place of every pixel, (H, W, 3)."""
    mean, std = (torch.tensor(MODEL[name]).view(3, 1, 1) for name in ("mean", "std"))
    model = SimpleNamespace(mean=tuple(MODEL["mean"]), std=tuple(MODEL["std"]), normalise=lambda x: (x - mean) / std)
    images = torch.tensor(image / 255, dtype=torch.float32).permute(2, 0, 1)[None]
    return (255 * removal.prepare(model, images, Noise(0, "removal", ("one",)))[0].permute(1, 2, 0)).numpy()


@pytest.mark.parametrize("sigma", ["0.1", "0.03"])
def test_the_blur_is_that_of_the_removal(unchecked, sigma):
    found = substrate(Removed("blur", {"sigma": sigma, "kernel": "gaussian"}, "", ()), picture(), MODEL)

    assert np.abs(opened(found) - seen(Blur(float(sigma)), picture())).max() < 8  # webp at 80
    assert np.abs(opened(found).astype(int) - picture()).max() > 8


def test_the_blur_of_rise_is_that_of_the_removal(unchecked):
    found = substrate(Removed("blur", {"sigma": "None", "kernel": "rise"}, "", ()), picture(), MODEL)

    assert np.abs(opened(found) - seen(Blur(kernel="rise"), picture())).max() < 16


@pytest.mark.parametrize("colour", ["black", "grey", "white", "mean", "image_mean", "image_scalar_mean", "image_min"])
def test_the_colour_is_that_of_the_removal(unchecked, colour):
    found = substrate(Removed("fill", {"colour": colour}, "", ()), picture(), MODEL)

    assert found == pytest.approx(np.clip(seen(Fill(colour), picture())[0, 0], 0, 255), abs=1)


@pytest.mark.parametrize("name", ["layer_masking", "token_dropping", "noisy_linear", "inpaint", "uniform_noise"])
def test_what_is_no_picture_is_not_drawn(name):
    assert substrate(Removed(name, {}, "", ()), picture(), MODEL) is None


def test_a_colour_that_needs_the_model_is_not_guessed():
    assert substrate(Removed("fill", {"colour": "mean"}, "", ()), picture(), {}) is None


@pytest.mark.parametrize(
    "spec", ["removal=fill(colour=mean);order=morf", "target=predicted; removal=fill(colour=mean); order=morf"]
)
def test_a_removal_is_read_from_the_spec(spec):
    assert part(spec, "removal") == "fill(colour=mean)"
    assert part(spec, "unit") == ""


def test_removals_are_named_once_with_their_metrics():
    (found,) = removals(analyse(make_run(2)))

    assert (found.name, found.parameters) == ("blur", {"sigma": "0.1", "kernel": "gaussian"})
    assert found.metrics == ("deletion", "insertion")


def test_curves_of_an_image_are_those_of_the_run():
    run = make_run(3, models=("ersm",), datas=("planted/test",), panels=1)
    found = explorer(analyse(run))
    place = [column["explainer"] for column in found["columns"]].index("gradcam")
    grid = found["grids"]["deletion"]
    raw = np.frombuffer(base64.b64decode(found["images"][0]["curves"][place]["deletion"]), "<u2")
    curve = run.curves.query("explainer == 'gradcam' and metric == 'deletion' and sample == 'test-0000'")

    assert grid["low"] + (grid["high"] - grid["low"]) * raw / 65535 == pytest.approx(curve["value"], abs=2e-5)
    assert grid["fractions"] == pytest.approx(curve["fraction"], abs=1e-5)


def test_an_image_of_the_same_name_in_other_data_keeps_its_own_scores():
    run = make_run(2, models=("ersm",), explainers=("gradcam", "random"), datas=("a", "b"), panels=1)
    twins = run.scores.assign(sample="same" + run.scores["sample"].str[-2:])
    panel = dataclasses.replace(run.gallery[0], sample="same00", data="b")
    found = explorer(analyse(dataclasses.replace(run, scores=twins, curves=run.curves.iloc[:0], gallery=(panel,))))
    rows = twins.query("data == 'b' and sample == 'same00' and explainer == 'gradcam'")

    assert found["images"][0]["scores"][0] == [
        [metric, f"{score:.3g}"] for metric, score in rows[["metric", "score"]].itertuples(index=False)
    ]


def test_many_images_get_smaller_maps_and_what_is_left_out_is_said(monkeypatch):
    analysis = analyse(make_run(6, models=("ersm",), datas=("planted/test",), panels=6))
    monkeypatch.setattr(import_module("xai_bench.reports.page.explorer"), "MAPS", 3 * 4 * (16**2 + len(KNOTS)) * 4 // 3)
    found = explorer(analysis)

    assert found["side"] == 16
    assert len(found["images"]) == 3
    assert found["left_out"] == "Shown: the first 3 of 6 images, so that the page stays small."


def test_lines_have_the_means_and_bands_of_the_analysis():
    analysis = analyse(make_run(5, datas=("planted/test",)))
    found = lines(analysis)["groups"][0]
    line = next(line for line in found["charts"][1]["lines"] if line["name"] == "energy")
    band = analysis.bands.query("model == 'ersm' and explainer == 'energy' and metric == 'deletion'")

    assert found["metric"] == "deletion ↓"
    assert [chart["title"] for chart in found["charts"]] == ["plain", "ersm"]
    for name in ("mean", "low", "high"):
        assert line[name] == pytest.approx(band[name].tolist(), rel=1e-3)


def test_metrics_without_maps_have_a_line_per_model():
    run = make_run(2, datas=("planted/test",))
    points = [
        ("planted/test", model, "none", "top1", f"test-000{image}", share, 1.0)
        for model in ("plain", "ersm")
        for image in range(2)
        for share in (0.0, 1.0)
    ]
    found = lines(analyse(dataclasses.replace(run, curves=pd.DataFrame(points, columns=run.curves.columns))))

    assert [line["name"] for line in found["groups"][0]["charts"][0]["lines"]] == ["plain", "ersm"]


def test_curves_of_explainers_come_before_those_of_models():
    run = make_run(2, datas=("planted/test",))
    rows = [("planted/test", "ersm", "none", "top1", "test-0000", share, 1.0) for share in (0.0, 1.0)]
    first = pd.DataFrame(rows, columns=run.curves.columns)
    groups = lines(analyse(dataclasses.replace(run, curves=pd.concat([first, run.curves]))))["groups"]

    assert [group["metric"] for group in groups] == ["deletion ↓", "insertion ↑", "top1 ↑"]
    assert [group["controls"] for group in groups] == [True, True, False]


def test_the_page_holds_as_many_rows_as_fit_and_says_where_the_others_are(monkeypatch):
    analysis = analyse(make_run(4, datas=("planted/test",), panels=0))
    sheets = [leaderboard(analysis), scores(analysis)]
    module = import_module("xai_bench.reports.page")
    whole = module.page(analysis, {}, sheets, [])
    monkeypatch.setattr(module, "ROWS", (1000, 6))
    monkeypatch.setattr(module, "CELLS", 60)
    cut = module.page(analysis, {}, sheets, [])
    rows = sum(len(grid.rows) for grid in sheets[0].grids)

    assert "rows are shown" not in whole
    assert f"6 of {rows} rows are shown; all are in tables/leaderboard.csv." in cut
    assert cut.count("<tr") < whole.count("<tr")


def test_nothing_in_the_data_can_end_its_script_element():
    text = stored({"name": f"</script><!--{HOSTILE}"})

    assert "<" not in text
    assert json.loads(text) == {"name": f"</script><!--{HOSTILE}"}


def test_the_policy_allows_nothing_from_outside_and_no_script_but_ours():
    found = policy([script("page/tables.js")])

    assert found.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in found.partition("style-src")[0]
    assert "http" not in found


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("accuracy(removal=fill,unit=pixel)", ["accuracy(", "removal=fill,", "unit=pixel)"]),
        ("centre (control), 1,000 images", ["centre (control), 1,000 images"]),
        ("<b>,x", ["&lt;b&gt;,", "x"]),
    ],
)
def test_long_names_may_break_behind_commas_and_brackets_and_stay_escaped(name, parts):
    assert breakable(name) == "<wbr>".join(parts)


def test_signed_maps_are_blue_and_orange_as_in_the_figures():
    shades = np.frombuffer(
        base64.b64decode(explorer(analyse(make_run(3, panels=1)))["palettes"]["diverging"]), np.uint8
    )

    assert shades.reshape(256, 3)[[0, 255]].tolist() == [[0x00, 0x56, 0x9D], [0x95, 0x36, 0x01]]
