"""Results and maps show themselves in a notebook; to everything else maps are a tensor like any other."""

import copy
import io
import pickle
from pathlib import Path

import nbformat
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image
from torch import Tensor

import xai_bench as xb
from xai_bench.errors import InvalidValueError
from xai_bench.relevance import RelevanceMaps, showing

EXAMPLE = Path(__file__).parent.parent / "examples" / "first_look.ipynb"
HOSTILE = "<script>alert(1)</script> & a_b"


@pytest.fixture(scope="module")
def ran():
    """The example notebook, carried out by a real kernel."""
    book = nbformat.read(EXAMPLE, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        NotebookClient(book, timeout=300, resources={"metadata": {"path": str(EXAMPLE.parent)}}).execute()
    return book


def shown(book, source):
    """What the one cell that holds `source` showed, by kind."""
    (cell,) = (cell for cell in book.cells if cell.cell_type == "code" and source in cell.source)
    return {kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()}


def test_the_example_is_kept_without_outputs():
    assert all(not cell.outputs for cell in nbformat.read(EXAMPLE, as_version=4).cells if cell.cell_type == "code")


def test_maps_show_themselves_as_a_picture_with_words(ran):
    found = shown(ran, "maps = xb.explain")

    assert found["text/html"].count("<li>") == 6
    assert "gradcam of tiny: 8 maps, the first 6 are shown" in found["text/html"]
    assert found["image/png"]


def test_results_show_themselves_as_a_table_with_findings(ran):
    found = shown(ran, "results = xb.evaluate")

    assert "deletion ↓" in found["text/html"]
    assert "random (control)" in found["text/html"]
    assert "region (ceiling)" in found["text/html"]
    assert found["text/plain"].startswith("Results(48 rows, 1 model, 3 explainers, 2 metrics")


def test_axes_of_ones_own_are_shown_as_any_figure(ran):
    assert shown(ran, "plt.subplots")["image/png"]


def relevance(count=2, *, size=(8, 8), regions=None, name="gradcam"):
    values = torch.zeros(count, *size)
    values[:, 1, 2] = 1.0
    images = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(count)
    return showing(values, images, targets, explainer=name, model="resnet", regions=regions)


def test_maps_are_a_tensor_and_what_is_computed_from_them_a_plain_one():
    maps = relevance()

    assert isinstance(maps, Tensor)
    assert maps.dtype == torch.float32
    for plain in (maps * 2, maps[0], maps.cpu().numpy(), torch.stack([maps, maps]), maps.flatten(1).argmax(1)):
        assert not isinstance(plain, RelevanceMaps)
    assert torch.equal(maps + 0, maps)


def test_a_deep_copy_shows_itself_and_shares_no_number():
    maps = relevance()
    other = copy.deepcopy([maps, maps])
    other[0].zero_()

    assert isinstance(other[0], RelevanceMaps)
    assert other[0] is other[1]
    assert maps.sum() == 2


def test_a_file_holds_the_numbers_alone():
    maps, file = relevance(), io.BytesIO()
    torch.save(maps, file)
    file.seek(0)

    for loaded in (torch.load(file, weights_only=True), pickle.loads(pickle.dumps(maps))):
        assert type(loaded) is Tensor
        assert torch.equal(loaded, maps)


def test_maps_of_explain_can_be_scored():
    model = xb.load_model("timm:test_resnet", pretrained=False, num_classes=4, input_size=32, device="cpu")
    images = torch.rand(2, 3, 32, 32)
    maps = xb.explain("random", model, images)

    assert type(maps) is RelevanceMaps
    assert torch.equal(
        xb.score("deletion", model, images, maps=maps).values,
        xb.score("deletion", model, images, explainer="random").values,
    )


def test_only_thumbnails_of_the_images_are_kept():
    maps = relevance(size=(64, 512))

    assert maps.about.thumbnails.shape == (2, 16, 128, 3)
    assert maps.about.thumbnails.dtype == "uint8"


def test_a_map_is_described_with_its_object():
    regions = torch.zeros(2, 8, 8, dtype=torch.bool)
    regions[0, 1, 2] = regions[1, 7, 7] = True
    lines = relevance(regions=regions).describe().splitlines()

    assert [line[:3] for line in lines] == ["0: ", "1: "]
    assert "on the object" in lines[0]
    assert relevance().describe(1) == relevance().describe(-1)


@pytest.mark.usefixtures("unchecked")
def test_a_map_that_is_not_there_is_refused():
    with pytest.raises(InvalidValueError, match="there are 2 maps, numbered from 0, so there is no map 2"):
        relevance().plot(2)


def test_a_map_is_drawn_into_axes_of_ones_own_and_nothing_else_is_made():
    mine = Figure().subplots()
    before = plt.get_fignums()

    assert relevance().plot(1, ax=mine) is mine
    assert mine.get_title() == "gradcam, class 1"
    assert plt.get_fignums() == before


def test_a_new_figure_is_one_of_pyplots_so_that_a_notebook_shows_it():
    drawn = relevance().plot()

    assert drawn.figure.number in plt.get_fignums()
    plt.close(drawn.figure)


@pytest.mark.parametrize(
    ("value", "colour"), [(1.0, (149, 54, 1)), (-1.0, (0, 86, 157))], ids=["for the class", "against"]
)
def test_where_it_speaks_for_the_class_it_is_orange_and_against_blue(value, colour):
    maps = relevance()
    maps[:, :4] = value
    maps[:, 7, 7] = -value
    drawn = maps.plot(0, ax=Figure().subplots())
    shade = drawn.images[1].to_rgba(drawn.images[1].get_array())[0, 0]

    assert (shade[:3] * 255).round().tolist() == pytest.approx(colour, abs=1)
    assert drawn.images[1].get_alpha()[5, 5] == 0


@pytest.mark.parametrize("value", [float("nan"), 0.0, -1.0])
def test_maps_that_show_nothing_are_drawn_all_the_same(value):
    maps = relevance()
    maps.fill_(value)
    picture = Image.open(io.BytesIO(maps._repr_png_()))

    assert picture.size[0] > 100


def test_names_are_escaped():
    assert "<script>" not in relevance(name=HOSTILE)._repr_html_()
    assert "&lt;script&gt;" in relevance(name=HOSTILE)._repr_html_()


def test_no_maps_show_as_a_tensor_does():
    assert relevance(0)._repr_html_() is None
