from pathlib import Path

import pytest
import torch

from xai_bench.data import load_data
from xai_bench.errors import DataError


@pytest.mark.realset
def test_imagenet_has_labels_boxes_and_original_sizes(realset: Path):
    data = load_data("imagenet_val", path=realset, size=227)
    sample = next(data[i] for i in range(len(data)) if data[i].id == "ILSVRC2012_val_00000361")
    region = torch.zeros(227, 227, dtype=torch.bool)
    region[53:202, 38:190] = True  # boxes_227 of the annotations: 37.68, 52.68, 190.23, 202.28

    assert len(data) == 298
    assert sample.label == 300
    assert sample.size == (349, 500)
    assert sample.boxes[0][:4] == (83, 81, 419, 311)
    assert torch.equal(sample.region, region)


@pytest.mark.realset
def test_imagenet_boxes_hold_the_objects_on_the_whole(realset: Path):
    batch = load_data("imagenet_val", path=realset, n=32).batch(0, 32)

    assert batch.images.shape == (32, 3, 224, 224)
    assert batch.faults == ("",) * 32
    assert 0.2 < batch.regions.float().mean().item() < 0.7
    assert batch.labels.max().item() < 1000


@pytest.mark.realset
def test_coco_regions_lie_inside_their_boxes(realset: Path):
    data = load_data("coco_cc", path=realset, size=(320, 320))
    batch = data.batch(0, len(data))
    filled = torch.stack(
        [data.preprocessing.geometry(size).filled(boxes) for size, boxes in zip(batch.sizes, batch.boxes, strict=True)]
    )

    assert len(data) == 39
    assert batch.labels[batch.ids.index("000000000073")].item() == 665
    assert batch.regions.any(dim=(1, 2)).float().mean().item() > 0.9
    outside = (batch.regions & ~filled).sum() / batch.regions.sum()
    assert outside.item() < 0.02


@pytest.mark.realset
def test_the_two_photos_have_masks_with_a_border_that_does_not_count(realset: Path):
    batch = load_data("cc_masks", path=realset, size=128).batch(0, 2)

    assert batch.ids == ("bird_segmentation", "dog_segmentation")
    assert batch.labels is None
    assert batch.regions.any(dim=(1, 2)).all()
    assert batch.ignore.any(dim=(1, 2)).all()
    assert not (batch.regions & batch.ignore).any()


@pytest.mark.parametrize("name", ["imagenet_val", "coco_cc", "cc_masks"])
def test_without_the_variable_the_error_names_it(monkeypatch, name: str):
    monkeypatch.delenv("XAI_BENCH_REALSET", raising=False)

    with pytest.raises(DataError) as caught:
        load_data(name)
    assert str(caught.value) == f"dataset {name} needs path=, or the environment variable XAI_BENCH_REALSET; both unset"


def test_a_realset_without_the_part_is_refused(tmp_path):
    (tmp_path / "coco_c").mkdir()

    with pytest.raises(DataError, match=r"unknown folder in .* 'coco_cc'; did you mean 'coco_c'"):
        load_data("coco_cc", path=tmp_path)
