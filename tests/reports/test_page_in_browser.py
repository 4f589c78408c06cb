"""The page as people use it: sorted, filtered, explored with mouse and keyboard, dark, printed, read aloud."""

import dataclasses
from io import BytesIO
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from browser import chromium, visit, written
from pypdf import PdfReader
from synthetic_run import HOSTILE, make_run, score_row

from xai_bench.reports.study_page import Section, Study, Table, write_study
from xai_bench.runs.run import CURVE_COLUMNS, SCORE_COLUMNS, Panel, Run

RED, BLACK = [255, 0, 0], [0, 0, 0]
TABLE = "table#scores-2"  # model x explainer x metric
ROWS = f"{TABLE} tbody tr"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(make_run(6, datas=("planted/test",), panels=3), tmp_path_factory.mktemp("page"))


def known_run(colour="black"):
    """A red image; the map falls from left to right; the output falls from 1 to 0 as pixels go."""
    ramp = np.tile(np.linspace(1, 0, 16, dtype=np.float32), (16, 1))
    spec = f"removal=fill(colour={colour}); order=morf; output=probability; target=predicted"
    rows = [
        score_row("d", "m", name, "deletion", sample, score)
        for sample in ("one", "two")
        for name, score in (("ramp", 0.5), ("random", 0.75))
    ]
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).assign(spec=spec)
    points = [
        ("d", "m", name, "deletion", sample, share, 1 - share**power)
        for sample in ("one", "two")
        for name, power in (("ramp", 1), ("random", 3))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    image, half = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), bool)
    image[..., 0], half[:, 8:] = 255, True
    panels = tuple(
        Panel("d", sample, image, half, {("m", "ramp"): ramp, ("m", "random"): np.roll(ramp, 8, 1)})
        for sample in ("one", "two")
    )
    return Run(
        scores=scores,
        curves=pd.DataFrame(points, columns=list(CURVE_COLUMNS)),
        cards={"deletion": {"name": "deletion", "better": "lower", "scope": "image", "version": 1}},
        explainers={"ramp": {"kind": "post-hoc"}, "random": {"kind": "control"}},
        info={"models": {"m": {"mean": [0.0, 1.0, 0.0], "std": [1.0, 1.0, 1.0]}}},
        gallery=panels,
    )


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return written(known_run(), tmp_path_factory.mktemp("known"))


def means(found):
    texts = found.tab.locator(f"{ROWS} td:nth-child(4)").evaluate_all("cells => cells.map(cell => cell.dataset.sort)")
    return [float(text) for text in texts]


def test_a_column_sorts_up_and_down_and_says_so(browser, page):
    with visit(browser, page) as found:
        head = found.tab.locator(f"{TABLE} thead th", has_text="deletion")
        head.locator("button").click()
        up = means(found)
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").click()

        assert up == sorted(up)
        assert means(found) == up[::-1]
        assert head.get_attribute("aria-sort") == "descending"


def test_words_filter_rows_and_the_count_is_said(browser, page):
    with visit(browser, page) as found:
        field = found.tab.locator("section", has=found.tab.locator(TABLE)).get_by_label("Show rows with").last
        field.fill("model:ersm gradcam")
        rows = found.texts(ROWS)

        assert len(rows) == 1
        assert all(word in rows[0] for word in ("ersm", "gradcam"))
        assert "1 row, 7 in all" in found.texts(".count")
        field.fill("nothing like it")
        assert found.texts(ROWS) == []
        field.fill("")
        assert len(found.texts(ROWS)) == 7


def test_thousands_of_rows_come_in_pages_and_are_all_searched(browser, tmp_path):
    frame = pd.DataFrame({"name": [f"row-{i:04d}" for i in range(3000)], "score": np.arange(3000.0)})
    file = write_study(Study("Title", "Lead.", [Section("One", tables=[Table("many", "Rows.", frame)])]), tmp_path)
    with visit(browser, file) as found:
        assert len(found.texts("tbody tr")) == 50
        assert found.texts(".count") == ["rows 1 to 50 of 3000"]
        found.tab.get_by_role("button", name="Next").click()
        assert found.texts(".count") == ["rows 51 to 100 of 3000"]
        assert found.texts("tbody tr")[0].split() == ["row-0050", "50"]
        found.tab.get_by_label("Show rows with").fill("row-2999")

        assert [row.split()[0] for row in found.texts("tbody tr")] == ["row-2999"]


def test_half_of_the_pixels_removed_is_the_half_that_the_map_finds_relevant(browser, known):
    with visit(browser, known) as found:
        found.explore()
        found.slide("explorer-removed", 0)
        before = found.pixels("canvas.seen")
        found.slide("explorer-removed", 50)
        after, width = found.pixels("canvas.seen"), before.shape[1]

        assert np.abs(before[..., :3].astype(int) - RED).max() <= 6
        assert np.abs(after[:, : width // 2, :3].astype(int) - BLACK).max() <= 1
        assert np.abs(after[:, width // 2 :, :3].astype(int) - RED).max() <= 6
        assert found.texts(".tile .output")[0] == "output 0.500 (deletion ↓)"
        found.tab.locator("#explorer-order").select_option("least")
        turned = found.pixels("canvas.seen")
        assert np.abs(turned[:, width // 2 :, :3].astype(int) - BLACK).max() <= 1


@pytest.mark.parametrize(
    ("colour", "shown"),
    [("white", [255] * 3), ("mean", [0, 255, 0]), ("0.2/0.4/0.6", [51, 102, 153]), ("image_max", [255, 255, 255])],
)
def test_removed_pixels_take_the_colour_of_the_spec(browser, tmp_path, colour, shown):
    # image_max: of red - mean = (1, -1, 0) it is 1 in every channel, and 1 + mean = (1, 2, 1), cut off at white
    with visit(browser, written(known_run(colour), tmp_path)) as found:
        found.explore()
        found.slide("explorer-removed", 100)

        assert np.abs(found.pixels("canvas.seen")[..., :3].astype(int) - shown).max() <= 1
        assert found.texts("#explorer-hatch") == [""]


def test_what_cannot_be_shown_is_hatched_and_said(browser, tmp_path):
    run = known_run()
    spec = "removal=layer_masking(padding=neighbour); order=morf"
    with visit(browser, written(dataclasses.replace(run, scores=run.scores.assign(spec=spec)), tmp_path)) as found:
        found.explore()
        found.slide("explorer-removed", 100)

        assert "layer_masking" in found.texts("#explorer-hatch")[0]
        assert len(np.unique(found.pixels("canvas.seen")[..., 0])) > 1


def test_the_opacity_goes_from_the_image_to_the_map(browser, known):
    with visit(browser, known) as found:
        found.explore()
        found.tab.locator("#explorer-outline").uncheck()
        found.slide("explorer-opacity", 0)
        bare = found.pixels("canvas.over")
        found.slide("explorer-opacity", 100)
        full = found.pixels("canvas.over")

        assert np.abs(bare[..., :3].astype(int) - RED).max() <= 6
        assert np.abs(full[5, 2, :3].astype(int) - [253, 231, 37]).max() <= 2  # viridis at its upper end
        assert np.abs(full[5, -2, :3].astype(int) - [68, 1, 84]).max() <= 2  # and at its lower end


def test_the_object_is_outlined(browser, known):
    with visit(browser, known) as found:
        found.explore()
        found.slide("explorer-opacity", 0)
        middle = found.pixels("canvas.over")[100, :, 1]

        assert middle[len(middle) // 2 - 1 : len(middle) // 2 + 1].max() > 120  # white on red
        assert middle[: len(middle) // 2 - 5].max() < 10


def test_hover_reads_values_and_the_legend_switches_lines(browser, known):
    with visit(browser, known) as found:
        found.chart()
        over = found.tab.locator("#curves-charts .u-over")
        over.wait_for()
        box = over.bounding_box()
        found.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        found.wait("#curves-charts .value", ".")

        assert found.texts("#curves-charts .at") == ["share removed 0.5"]
        assert [text.split("[")[0].strip() for text in found.texts("#curves-charts .value")] == ["0.500", "0.875"]
        button = found.tab.locator("#curves-charts .legend button").first
        button.click()
        assert button.get_attribute("aria-pressed") == "false"


def test_the_numbers_behind_a_chart_are_a_table(browser, known):
    with visit(browser, known) as found:
        found.chart()
        found.tab.locator("#curves-charts .numbers summary").click()
        rows = found.texts("#curves-charts .numbers tbody tr")

        assert len(rows) == 5
        assert rows[2].split()[:2] == ["0.5", "0.500"]


def test_all_of_it_works_from_the_keyboard(browser, known):
    with visit(browser, known) as found:
        press = found.tab.keyboard.press
        press("Tab")
        assert found.tab.evaluate("document.activeElement.className") == "skip"
        found.explore()
        found.tab.locator("#explorer-strip").focus()
        press("ArrowRight")
        found.wait("#explorer-name", "^two of d$")
        assert found.tab.locator("[aria-selected=true] img").get_attribute("alt") == "two of d"
        found.tab.locator("#explorer-removed").focus()
        press("End")
        assert found.texts("#explorer-removed-value") == ["100 %"]
        assert np.abs(found.pixels("canvas.seen")[..., :3].astype(int) - BLACK).max() <= 1
        found.chart()
        found.tab.locator("#curves-charts .plot").focus()
        press("End")
        assert "share removed 1, ramp 0.00, random 0.00" in found.tab.locator("#curves-charts .unseen").text_content()
        found.tab.locator("#leaderboard-1 thead button").first.focus()
        press("Enter")
        assert found.tab.locator("#leaderboard-1 th").first.get_attribute("aria-sort") == "ascending"


def test_an_image_is_found_by_its_name_and_picked_by_a_click(browser, known):
    with visit(browser, known) as found:
        found.explore()
        found.tab.locator("#explorer-strip [role=option]").nth(1).click()
        found.wait("#explorer-name", "^two of d$")
        found.tab.get_by_label("Find an image").fill("one")

        assert "1 of 2 images" in found.texts("#explorer-found")
        found.wait("#explorer-name", "^one of d$")


def test_controls_and_intrinsic_maps_are_marked(browser, page):
    with visit(browser, page) as found:
        found.explore()
        heads = found.texts(".tile h4")

        assert "random control" in heads
        assert "energy intrinsic" in heads
        assert "gradcam" in heads


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser, page, scheme):
    """WCAG 2.2: at least 4.5 to 1 for text, by the page's own colours."""
    with visit(browser, page, color_scheme=scheme) as found:
        colours = found.tab.evaluate(
            "['--ground', '--card', '--ink', '--soft', '--link', '--better', '--worse', '--undecided']"
            ".map(name => getComputedStyle(document.documentElement).getPropertyValue(name).trim())"
        )
        assert found.tab.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)"
        )
        assert min(contrast(ink, ground) for ground in colours[:2] for ink in colours[2:]) >= 4.5


def contrast(one, other):
    return (max(luminance(one), luminance(other)) + 0.05) / (min(luminance(one), luminance(other)) + 0.05)


def luminance(colour):
    digits = colour.lstrip("#") if len(colour) == 7 else "".join(2 * digit for digit in colour.lstrip("#"))
    shares = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_nothing_is_cut_off_on_a_phone(browser, page):
    with visit(browser, page) as found:
        found.tab.set_viewport_size({"width": 400, "height": 800})
        found.explore()

        assert found.tab.evaluate("document.documentElement.scrollWidth") == 400


def test_it_prints(browser, page):
    with visit(browser, page) as found:
        found.explore()

        assert found.tab.pdf().startswith(b"%PDF")
        found.tab.emulate_media(media="print")
        assert not found.tab.locator("nav").is_visible()
        assert found.tab.locator(TABLE).is_visible()


def test_everything_that_acts_has_a_name(browser, page):
    with visit(browser, page) as found:
        found.explore()
        nameless = found.tab.evaluate(
            "[...document.querySelectorAll('button, input, select, [role=listbox], [role=option], [role=img], img')]"
            ".filter(each => !each.hidden && !(each.labels?.length || each.textContent.trim() || each.alt"
            " || each.getAttribute('aria-label') || each.querySelector('img[alt]'))).map(each => each.outerHTML)"
        )
        heads = found.tab.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(each => +each.tagName[1])")

        assert nameless == []
        assert heads[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(heads))


def test_hostile_names_are_text_everywhere(browser, tmp_path):
    run = make_run(4, models=(HOSTILE,), explainers=("ig", "random"), datas=("</script><b>&_%$",), panels=1)
    with visit(browser, written(run, tmp_path)) as found:
        found.explore()
        found.chart()

        assert HOSTILE.split(" |")[0] in found.texts("#explorer-maps h3")[0]
        assert "</script><b>&_%$" in found.texts("#explorer-name")[0]


def test_a_script_from_elsewhere_is_refused(browser, page, tmp_path):
    """The policy, not the escaping: a script that got into the page does not run."""
    text = page.read_text("utf-8").replace("</main>", "<script>document.title = 'mine'</script></main>")
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        visit(browser, tmp_path / "page.html") as found,
    ):
        assert found.tab.title() != "mine"


def constant(run):
    return dataclasses.replace(
        run, gallery=tuple(dataclasses.replace(p, maps={k: m * 0 for k, m in p.maps.items()}) for p in run.gallery)
    )


@pytest.mark.parametrize(
    ("poorer", "says"),
    [
        (lambda run: dataclasses.replace(run, gallery=()), "The run keeps no maps"),
        (lambda run: dataclasses.replace(run, curves=run.curves.iloc[:0]), "The run keeps no curves"),
        (lambda run: dataclasses.replace(run, scores=run.scores.assign(score=np.nan, reason="x")), "undefined"),
        (constant, "constant, 0 everywhere"),
        (lambda run: dataclasses.replace(run, scores=run.scores.iloc[:1]), "there is nothing to compare"),
    ],
    ids=["no maps", "no curves", "all undefined", "constant maps", "one score"],
)
def test_poor_runs_say_what_they_lack(browser, tmp_path, poorer, says):
    with visit(browser, written(poorer(known_run()), tmp_path)) as found:
        if found.tab.locator("#explorer-app").count():
            found.explore()

        assert says in found.tab.locator("main").inner_text()


def test_without_scripts_the_tables_are_all_there(browser, page):
    with visit(browser, page, java_script_enabled=False) as found:
        assert len(found.texts(ROWS)) == 7


def without(run, explainer, reason):
    """The run as it is where an explainer cannot explain: no maps, and scores with a reason."""
    lost = run.scores["explainer"] == explainer
    scores = run.scores.assign(score=run.scores["score"].mask(lost), reason=run.scores["reason"].mask(lost, reason))
    panels = [dataclasses.replace(p, maps={k: m for k, m in p.maps.items() if k[1] != explainer}) for p in run.gallery]
    return dataclasses.replace(run, scores=scores, gallery=tuple(panels))


def test_an_explainer_without_a_map_has_a_tile_that_says_why(browser, tmp_path):
    with visit(browser, written(without(known_run(), "ramp", "model 'm' has no <mask>"), tmp_path)) as found:
        found.explore()
        tile = found.tab.locator(".tile", has=found.tab.locator("h4", has_text="ramp"))

        assert tile.locator("figcaption").inner_text() == "No map: model 'm' has no <mask>."
        assert tile.locator("dd").all_inner_texts() == ["undefined"]
        assert tile.locator("canvas").count() == 0
        assert found.tab.locator("#explorer-model").input_value() == "m"  # the only model is named


def test_a_search_without_hits_says_so(browser, known):
    with visit(browser, known) as found:
        found.explore()
        field = found.tab.get_by_label("Find an image")
        field.fill("zzz")
        assert found.texts("#explorer-none") == ["No image has “zzz” in its name."]
        assert not found.tab.locator("#explorer-strip").is_visible()
        field.fill("")

        assert found.texts("#explorer-none") == [""]
        assert found.tab.locator("#explorer-strip").is_visible()


def test_on_paper_tables_are_as_wide_as_the_page_and_images_are_there_or_not_named(browser, page):
    with visit(browser, page) as found:
        found.tab.set_viewport_size({"width": 680, "height": 900})  # 180 mm: A4 within its margins
        found.tab.emulate_media(media="print")
        wide = found.tab.evaluate(
            "[...document.querySelectorAll('table')].filter(each => each.offsetWidth > each.parentElement.clientWidth)"
            ".map(each => each.id)"
        )
        assert wide == []
        assert not found.tab.locator("#explorer").is_visible()
        found.tab.emulate_media(media="screen")
        found.explore()
        found.tab.wait_for_selector("#explorer-app.ready")
        found.tab.emulate_media(media="print")
        assert found.tab.locator(".tile canvas.over").first.is_visible()


def test_heads_of_tables_are_on_every_page_of_paper(browser, tmp_path):
    frame = pd.DataFrame({"name": [f"row-{i}" for i in range(150)], "score": np.arange(150.0)})
    file = write_study(Study("Title", "Lead.", [Section("One", tables=[Table("many", "Rows.", frame)])]), tmp_path)
    with visit(browser, file) as found:
        pages = [sheet.extract_text() for sheet in PdfReader(BytesIO(found.tab.pdf(format="A4"))).pages]

    assert len(pages) > 1
    assert all("score" in text for text in pages)


def test_on_a_phone_the_name_of_a_row_stays_in_sight(browser, page):
    with visit(browser, page) as found:
        found.tab.set_viewport_size({"width": 400, "height": 800})
        place = found.tab.locator(".scroll", has=found.tab.locator("#leaderboard-2"))
        name = place.locator("tbody .name").first
        place.evaluate("each => { each.scrollLeft = 250; }")

        assert place.evaluate("each => each.scrollLeft") == 250
        assert name.bounding_box()["x"] == pytest.approx(place.bounding_box()["x"], abs=1)
        assert name.inner_text().startswith(("energy", "gradcam", "random", "centre"))
