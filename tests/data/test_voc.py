from pathlib import Path

import numpy as np
import pytest
import torch
from published_folders import BOX, CORNER, OBJECT, samples, text, voc, xml
from torchvision import datasets

from xai_bench.data import load_data
from xai_bench.data.voc import CLASSES
from xai_bench.errors import DataError, UnknownNameError
from xai_bench.types import Box

HARD, HARD_CORNER = BOX._replace(difficult=True), CORNER._replace(difficult=True)


def test_a_sample_is_an_image_and_a_class(tmp_path: Path):
    data = load_data("voc", path=voc(tmp_path), size=(6, 8))
    batch = data.batch(0, 9)

    assert batch.ids == ("000001:bird", "000001:car", "000002:car")
    assert [data.classes[label] for label in batch.labels] == ["bird", "car", "car"]
    assert batch.boxes == ((BOX,), (HARD_CORNER, HARD), (HARD_CORNER, BOX))
    assert torch.equal(batch.images[0], batch.images[1])


def test_the_region_is_the_union_of_the_boxes_difficult_ones_too(tmp_path: Path):
    batch = load_data("voc", path=voc(tmp_path), size=(6, 8)).batch(0, 9)
    union = OBJECT.copy()
    union[0, 0] = True

    assert np.array_equal(batch.regions[0], OBJECT)
    assert np.array_equal(batch.regions[1], union)
    assert np.array_equal(batch.regions[2], union)


@pytest.mark.parametrize("regions", ["boxes", "mask"])
def test_samples_of_difficult_boxes_alone_can_be_skipped(tmp_path: Path, regions: str):
    kept, skipped = (
        load_data("voc", path=voc(tmp_path), difficult=difficult, regions=regions).ids(0, 9)
        for difficult in ("keep", "skip")
    )

    assert set(kept) - set(skipped) == {"000001:car"}


def test_a_mask_is_the_class_in_the_segmentation_whose_border_is_ignored(tmp_path: Path):
    """Only the first image is segmented; of the car one pixel is."""
    batch = load_data("voc", path=voc(tmp_path), regions="mask", size=(6, 8)).batch(0, 9)

    assert batch.ids == ("000001:bird", "000001:car")
    assert np.array_equal(batch.regions[0], OBJECT)
    assert batch.regions[1].nonzero().tolist() == [[5, 7]]
    assert batch.ignore[0].nonzero().tolist() == [[0, 2], [0, 3], [0, 4]]
    assert batch.boxes == ()


@pytest.mark.parametrize(("year", "split"), [(2007, "test"), (2007, "train"), (2012, "val"), (2012, "trainval")])
def test_images_and_objects_are_those_of_torchvision(tmp_path: Path, year: int, split: str):
    theirs = datasets.VOCDetection(voc(tmp_path, year, split), str(year), split)
    drawn = datasets.VOCSegmentation(tmp_path, str(year), split)
    data = load_data("voc", path=tmp_path, year=year, split=split, size=(6, 8))
    found = {
        (annotation["filename"], thing["name"], *map(int, thing["bndbox"].values()), int(thing["difficult"]))
        for _, target in theirs
        for annotation in [target["annotation"]]
        for thing in annotation["object"]
    }

    ours = {
        ("x.jpg", sample.id.split(":")[1], box.x0 + 1, box.y0 + 1, box.x1, box.y1, int(box.difficult))
        for sample in samples(data)
        for box in sample.boxes
    }
    assert ours == found
    assert {id_.split(":")[0] for id_ in data.ids(0, 9)} == {Path(file).stem for file in theirs.images}
    masked = load_data("voc", path=tmp_path, year=year, split=split, regions="mask", size=(6, 8))
    for sample in samples(masked):
        values = np.asarray(drawn[0][1])
        assert np.array_equal(sample.region, values == CLASSES.index(sample.id.split(":")[1]) + 1)


def test_half_pixels_of_later_years_are_read(tmp_path: Path):
    xml(voc(tmp_path) / "VOCdevkit/VOC2007/Annotations/000002.xml", ("dog", (1.5, 2.25, 5, 6), 0))

    assert load_data("voc", path=tmp_path)[2].boxes == (Box(0.5, 1.25, 5, 6),)


def test_the_test_split_of_2012_was_never_published(tmp_path: Path):
    with pytest.raises(UnknownNameError, match="unknown split of voc 2012 'test'; known: train, trainval, val"):
        load_data("voc", path=voc(tmp_path), year=2012)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (None, "cannot read 000002.xml: no such file"),
        ("<annotation><object>", "cannot read 000002.xml: no element found"),
        ("<a><object><name>car</name></object></a>", "cannot read 000002.xml: an object without a name or without its"),
        ("<a><object><bndbox/></object></a>", "cannot read 000002.xml: an object without a name or without its"),
    ],
)
def test_an_image_without_a_whole_annotation_is_refused(tmp_path: Path, annotation: str | None, message: str):
    file = voc(tmp_path) / "VOCdevkit/VOC2007/Annotations/000002.xml"
    file.unlink() if annotation is None else text(file, annotation)

    with pytest.raises(DataError) as caught:
        load_data("voc", path=tmp_path)
    assert str(caught.value).startswith(message)


def test_a_class_that_voc_does_not_have_is_refused(tmp_path: Path):
    xml(voc(tmp_path) / "VOCdevkit/VOC2007/Annotations/000002.xml", ("cart", (1, 1, 2, 2), 0))

    with pytest.raises(UnknownNameError, match=r"unknown class in 000002.xml 'cart'; did you mean 'ca"):
        load_data("voc", path=tmp_path)


def test_the_year_without_the_split_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot read dataset voc2007/val in .*: FileNotFoundError: .*val.txt"):
        load_data("voc", path=voc(tmp_path), split="val")


def test_an_image_without_a_mask_is_a_fault(tmp_path: Path):
    (voc(tmp_path) / "VOCdevkit/VOC2007/SegmentationClass/000001.png").unlink()
    batch = load_data("voc", path=tmp_path, regions="mask").batch(0, 9)

    assert batch.faults == ("cannot read 000001.png: no such file",) * 2
