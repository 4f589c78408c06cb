"""One picture: read whole or refused, never a silent fault."""

import pytest
from PIL import Image

from xai_bench.data import load_data
from xai_bench.errors import DataError, InvalidValueError


@pytest.fixture
def folder(tmp_path):
    Image.new("L", (30, 20), 128).save(tmp_path / "photo.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_picture_is_a_data_set_of_one(folder):
    data = load_data("picture", path=folder / "photo.png", size=8)
    batch = data.batch(0, 1)

    assert len(data) == 1
    assert batch.ids == ("photo.png",)
    assert batch.images.shape == (1, 3, 8, 8)
    assert batch.labels is None


def test_a_target_becomes_its_label(folder):
    assert load_data("picture", path=folder / "photo.png", target=7).batch(0, 1).labels.tolist() == [7]


def test_what_is_no_picture_is_refused(folder):
    for path, error, sentence in [
        (folder / "phto.png", DataError, "did you mean 'photo.png'"),
        (folder / "notes.txt", DataError, "cannot read notes.txt"),
        ("", InvalidValueError, "dataset picture needs a path, got none"),
    ]:
        with pytest.raises(error, match=sentence):
            len(load_data("picture", path=path))
