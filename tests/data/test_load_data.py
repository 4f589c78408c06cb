import pickle

import pytest
import torch

from xai_bench.data import CATALOGUE, DATA, Data, Preprocessing, _preprocessing, load_data
from xai_bench.data.dataset import Sample, collate
from xai_bench.errors import InvalidValueError, XaiBenchError


def test_the_catalogue_is_the_tuple():
    assert tuple(CATALOGUE.values()) == DATA
    assert {"planted", "folder", "imagenet_val", "coco_cc", "cc_masks"} <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "plantd"}, "unknown dataset 'plantd'; did you mean 'planted'?"),
        (
            {"name": "planted", "corelation": 1},
            "unknown key of dataset planted 'corelation'; did you mean 'correlation'?",
        ),
        ({"name": "planted", "correlation": "high"}, "correlation of dataset planted must be float, got 'high'"),
    ],
)
def test_unknown_names_and_values_are_refused(call: dict, message: str):
    with pytest.raises(XaiBenchError) as caught:
        load_data(**call)

    assert str(caught.value) == message


@pytest.mark.parametrize("size", ["big", (3,), True, 2.5])
def test_a_size_is_one_or_two_whole_numbers(size: object):
    with pytest.raises(InvalidValueError) as caught:
        _preprocessing(None, size)

    assert str(caught.value) == f"size must be a whole number or (height, width), got {size!r}"


def test_values_from_a_suite_are_checked_by_type():
    with pytest.raises(InvalidValueError, match=r"n of dataset planted must be int or None, got 'many'"):
        CATALOGUE.build({"name": "planted", "n": "many"})


def test_size_and_preprocessing_exclude_each_other():
    with pytest.raises(InvalidValueError, match="give size or preprocessing, not both"):
        load_data("planted", size=32, preprocessing=Preprocessing((32, 32)))


def test_size_is_short_for_a_squash():
    assert load_data("planted", size=32).preprocessing == Preprocessing((32, 32))
    assert load_data("planted", size=[32, 48]).preprocessing == Preprocessing((32, 48))


def test_a_table_of_a_suite_fills_the_same_fields():
    data = load_data("planted", classes=["disc", "star"], correlation=1, label="mine")

    assert data.classes == ("disc", "star")
    assert (data.label, data.name) == ("mine", "planted/test")


def test_indices_count_from_both_ends_and_end():
    data = load_data("planted", n=3)

    assert data[-1].id == data[2].id
    with pytest.raises(IndexError):
        data[3]


def test_a_data_set_travels_to_another_process():
    data: Data = load_data("planted", n=2)

    assert torch.equal(pickle.loads(pickle.dumps(data))[1].image, data[1].image)


def test_what_no_sample_can_have_is_none_and_what_one_lacks_is_empty():
    image = torch.zeros(3, 2, 2)
    known = Sample(image, "a", (2, 2), 4, region=torch.ones(2, 2, dtype=torch.bool))
    batch = collate([known, Sample(image, "b", (9, 9), 5, fault="gone")], frozenset({"labels", "regions"}))

    assert batch.regions.sum(dim=(1, 2)).tolist() == [4, 0]
    assert batch.labels.tolist() == [4, 5]
    assert (batch.ignore, batch.distractors, batch.boxes) == (None, None, ())
    assert batch.faults == ("", "gone")


def test_ids_are_known_without_making_a_sample(monkeypatch):
    data = load_data("planted", n=5, size=32, batch_size=2)
    made = [data[place].id for place in range(5)]
    monkeypatch.setattr(type(data), "sample", lambda *_: pytest.fail("a sample was made"))

    assert [data.id(place) for place in range(5)] == made
    assert data.ids(3, 9) == tuple(made[3:])
    assert data.slices == ((0, 2), (2, 4), (4, 5))
