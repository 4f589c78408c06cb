"""What holds for every reader of a published folder; each has tests of its own for what its annotations mean."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from published_folders import BUILDERS, picture

import xai_bench as xb
from xai_bench.data import load_data
from xai_bench.data.published import Published
from xai_bench.errors import DataError, InvalidValueError, UnknownNameError

MARKED = ("cub", "pets", "voc", "coco")  # those with a choice of regions
FIRST = {"cub": "Auk_1.jpg", "pets": "pug_2.jpg", "food101": "2.jpg", "voc": "000001.jpg", "coco": "000000000007.jpg"}
CLASS = {"cub": "002.Jay", "pets": "Pug", "food101": "waffles", "voc": "bird", "coco": "cat", "imagenet": "crane"}
FOLDER = {"cub": "CUB_200_2011", "pets": "annotations", "food101": "meta", "voc": "Annotations", "coco": "annotations"}


@pytest.fixture(params=BUILDERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    folder = tmp_path / "sets"
    folder.mkdir()
    return BUILDERS[name](folder)


def found(root: Path, file: str) -> Path:
    return next(root.rglob(file))


def test_batches_hold_what_the_set_says_it_knows(name: str, root: Path):
    data = load_data(name, path=root, size=8)
    batch = data.batch(0, len(data))

    assert isinstance(data, Published)
    assert batch.faults == ("",) * len(data)
    assert 0 <= batch.labels.min() <= batch.labels.max() < len(data.classes)
    assert (batch.regions is not None) == ("regions" in data.knows) == (name not in ("food101", "imagenet"))
    assert (batch.boxes != ()) == ("boxes" in data.knows) == (name == "voc")
    assert (batch.ignore is not None) == ("ignore" in data.knows) == (name in ("cub", "pets", "coco"))
    assert "labels" in data.knows
    assert batch.sizes == ((6, 8),) * len(data)


def test_the_name_tells_the_set_and_the_split(name: str, root: Path):
    years = {"voc": "voc2007", "coco": "coco2017"}

    assert (
        load_data(name, path=root).name
        == f"{years.get(name, name)}/{'val' if name in ('coco', 'imagenet') else 'test'}"
    )


def test_labels_can_be_those_of_another_model(name: str, root: Path):
    """What the index does not name is left out."""
    every = load_data(name, path=root)
    data = load_data(name, path=root, class_index={CLASS[name]: 3})

    assert 0 < len(data) < len(every)
    assert set(data.batch(0, len(data)).labels.tolist()) == {3}
    assert data.classes == ("0", "1", "2", CLASS[name])
    assert set(data.ids(0, len(data))) < set(every.ids(0, len(every)))


def test_an_index_of_classes_that_are_not_there_is_refused(name: str, root: Path):
    with pytest.raises(
        UnknownNameError, match=rf"unknown class of dataset {name} 'x{CLASS[name]}'; did you mean '{CLASS[name]}'"
    ):
        load_data(name, path=root, class_index={f"x{CLASS[name]}": 3})
    with pytest.raises(DataError, match=r"labels must be in \[0, 100000\), got -1 to -1"):
        load_data(name, path=root, class_index={CLASS[name]: -1})
    with pytest.raises(DataError, match=rf"no images of dataset .* in '{root}'"):
        load_data(name, path=root, class_index={})


def test_the_fingerprint_follows_files_and_options_but_not_the_place(name: str, root: Path):
    first = load_data(name, path=root).fingerprint
    prints = [
        load_data(name, path=root, size=8).fingerprint,
        load_data(name, path=root, n=1).fingerprint,
        load_data(name, path=root, class_index={CLASS[name]: 0}).fingerprint,
    ]
    moved = root.rename(root.parent / "moved")

    assert len({first, *prints}) == 4
    assert load_data(name, path=moved, batch_size=1).fingerprint == first
    picture(found(moved, FIRST.get(name, "ILSVRC2012_val_1.JPEG")), grey=50)
    assert load_data(name, path=moved).fingerprint != first


@pytest.mark.parametrize("name", MARKED)
def test_the_fingerprint_follows_what_is_the_region(name: str, root: Path):
    split = {"pets": "trainval"}.get(name)
    prints = {load_data(name, path=root, split=split, regions=regions).fingerprint for regions in ("mask", "boxes")}

    assert len(prints) == 2


@pytest.mark.parametrize("name", MARKED)
def test_masks_and_boxes_are_never_both_known(name: str, root: Path):
    split = {"pets": "trainval"}.get(name)
    masks, boxes = (load_data(name, path=root, split=split, regions=regions) for regions in ("mask", "boxes"))

    assert "boxes" not in masks.knows
    assert {"boxes", "regions"} < boxes.knows
    with pytest.raises(UnknownNameError, match=rf"unknown regions of dataset {name} 'box'; did you mean 'boxes'"):
        load_data(name, path=root, regions="box")


def test_a_picture_that_cannot_be_read_is_a_fault(name: str, root: Path):
    found(root, FIRST.get(name, "ILSVRC2012_val_1.JPEG")).write_text("no picture")
    data = load_data(name, path=root, size=8)
    faults = [fault for fault in data.batch(0, len(data)).faults if fault]

    assert faults
    assert all(fault.endswith("not a picture in a known format") for fault in faults)


def test_a_set_travels_to_another_process(name: str, root: Path):
    data = load_data(name, path=root, size=8)
    copy = pickle.loads(pickle.dumps(data))

    assert copy.fingerprint == data.fingerprint
    assert torch.equal(copy[0].image, data[0].image)


def test_a_missing_folder_is_named_with_the_nearest(name: str, root: Path):
    with pytest.raises(DataError, match=rf"unknown folder in '{root.parent}': 'set'; did you mean 'sets'\?"):
        load_data(name, path=root.parent / "set")
    with pytest.raises(InvalidValueError, match=f"dataset {name} needs a path, got none"):
        load_data(name)


def test_an_unknown_split_is_refused(name: str, root: Path):
    with pytest.raises(UnknownNameError, match=f"unknown split of {name} 'tets'"):
        load_data(name, path=root, split="tets")


@pytest.mark.parametrize("name", sorted(FOLDER))
def test_a_folder_without_its_annotations_is_refused_in_one_sentence(name: str, root: Path):
    shutil.rmtree(found(root, FOLDER[name]))

    with pytest.raises(DataError) as caught:
        load_data(name, path=root)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value) or FOLDER[name] in str(caught.value) or "000001.xml" in str(caught.value)


def test_imagenet_without_its_devkit_is_refused(tmp_path: Path):
    (BUILDERS["imagenet"](tmp_path) / "meta.bin").unlink()

    with pytest.raises(
        DataError, match=r"cannot read dataset imagenet/val in .*ILSVRC2012_devkit_t12.tar.gz is not present"
    ):
        load_data("imagenet", path=tmp_path)


def test_no_network_is_a_data_error(tmp_path: Path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")

    for name, module in (("pets", "oxford_iiit_pet"), ("food101", "food101"), ("voc", "voc")):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", offline)
        with pytest.raises(DataError) as caught:
            load_data(name, path=tmp_path, download=True)
        assert str(caught.value).startswith(f"cannot download or read dataset {name}")
        assert str(caught.value).endswith("Temporary failure in name resolution>")


@pytest.mark.parametrize(("name", "module"), [("pets", "oxford_iiit_pet"), ("food101", "food101"), ("voc", "voc")])
def test_what_is_missing_is_downloaded_once(name: str, module: str, tmp_path: Path, monkeypatch):
    calls = []

    def fetch(*args, **kwargs):
        calls.append(args)
        BUILDERS[name](tmp_path)

    monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fetch)
    first = load_data(name, path=tmp_path, download=True)
    times = len(calls)

    assert times > 0
    assert load_data(name, path=tmp_path, download=True).fingerprint == first.fingerprint
    assert len(calls) == times


def test_a_metric_is_had_from_the_reader_s_name(name: str, root: Path):
    """A model without weights points somewhere; its score is a number wherever there is a region."""
    metrics = ["top1"] if name in ("food101", "imagenet") else [{"name": "pointing_game", "tolerance": 0}]
    model = {"name": "timm:test_resnet", "pretrained": False, "num_classes": 20, "input_size": 32}
    results = xb.evaluate(
        models=[model],
        explainers=["centre"],
        metrics=metrics,
        data={"name": name, "path": str(root), "size": 32},
        device="cpu",
        progress=False,
        target="label",
    )

    scores = results.scores
    assert set(scores["sample"]) == set(load_data(name, path=root).ids(0, 99))
    assert scores["score"].isin([0, 1]).all()
