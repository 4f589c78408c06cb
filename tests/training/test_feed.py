"""Lessons: the same however they are read, and only what is asked for."""

from itertools import pairwise

import pytest
import torch
from toys import Spots, model_of

from xai_bench.data import load_data
from xai_bench.errors import DataError
from xai_bench.training import feed as feeds
from xai_bench.training.augment import Light, Unchanged
from xai_bench.training.feed import Held, Streamed, feed_of, in_order
from xai_bench.training.lesson import Lesson

MODEL = model_of()
ORDER = (torch.tensor([3, 1, 7]), torch.tensor([0, 2]))


def together(lessons) -> Lesson:
    inputs, labels, regions = zip(*lessons, strict=True)
    return Lesson(torch.cat(inputs), torch.cat(labels), None if regions[0] is None else torch.cat(regions))


def same(one: Lesson, other: Lesson) -> bool:
    return all((a is b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_lesson_is_the_normalised_image_its_label_and_its_mask():
    feed, made = feed_of(Spots(n=8), MODEL, Unchanged(), regions=True)
    lesson = next(iter(feed.lessons(0, ORDER)))
    sample = Spots().sample(3)

    assert isinstance(feed, Held)
    assert not made
    assert torch.allclose(lesson.inputs[0], (sample.image - 0.5) / 0.5)
    assert lesson.labels.tolist() == [1, 1, 1]
    assert torch.equal(lesson.regions[0], sample.region)


def test_streamed_lessons_are_those_that_memory_would_hold(monkeypatch):
    held, _ = feed_of(Spots(n=8), MODEL, Unchanged(), regions=True)
    monkeypatch.setattr(feeds, "HELD", 0)
    streamed, _ = feed_of(Spots(n=8), MODEL, Unchanged(), regions=True)

    assert isinstance(streamed, Streamed)
    assert same(together(held.lessons(0, ORDER)), together(streamed.lessons(0, ORDER)))


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(workers):
    alone, beside = (
        together(feed_of(Spots(n=8), MODEL, Light(), regions=True, seed=5, workers=count)[0].lessons(2, ORDER))
        for count in (0, workers)
    )

    assert same(alone, beside)


def test_augmentation_is_a_function_of_seed_epoch_and_image():
    def read(seed: int, epoch: int, order=ORDER) -> Lesson:
        return together(feed_of(Spots(n=8), MODEL, Light(), seed=seed)[0].lessons(epoch, order))

    one = read(0, 0)

    assert same(one, read(0, 0))
    assert not same(one, read(0, 1))
    assert not same(one, read(1, 0))
    assert torch.equal(one.inputs[[0, 4]], read(0, 0, (torch.tensor([3, 2]),)).inputs)


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_takes_nothing_from_the_global_random_state(workers):
    feed, _ = feed_of(Spots(n=8), MODEL, Light(), workers=workers)
    before = torch.get_rng_state()
    together(feed.lessons(0, ORDER))

    assert torch.equal(before, torch.get_rng_state())


def test_features_are_made_once_where_they_fit_and_refused_where_not(monkeypatch):
    calls = []

    def features(images):
        calls.append(len(images))
        return images.mean((2, 3), keepdim=True)

    feed, made = feed_of(Spots(n=8), MODEL, Unchanged(), features=features)
    two = [together(feed.lessons(epoch, ORDER)) for epoch in range(2)]

    assert made
    assert calls == [8]
    assert same(*two)
    assert two[0].inputs.shape == (5, 3, 1, 1)
    monkeypatch.setattr(feeds, "HELD", 8 * 3 * 4 - 1)
    assert feed_of(Spots(n=8), MODEL, Unchanged(), features=features)[1] is False


def test_generated_images_are_drawn_once(monkeypatch):
    data = load_data("planted", split="train", n=4, size=32)
    drawn, scene = [], type(data).scene
    monkeypatch.setattr(type(data), "scene", lambda self, index: drawn.append(index) or scene(self, index))
    feed, _ = feed_of(data, MODEL, Light())
    one, other = (together(feed.lessons(epoch, in_order(4))) for epoch in range(2))

    assert drawn == [0, 1, 2, 3]
    assert not torch.equal(one.inputs, other.inputs)


@pytest.mark.parametrize("held", [0, 2**31])
def test_images_that_cannot_be_read_are_left_out(monkeypatch, held):
    monkeypatch.setattr(feeds, "HELD", held)
    feed, _ = feed_of(Spots(n=10, broken=True), MODEL, Unchanged())

    assert len(together(feed.lessons(0, (torch.arange(feed.count),))).labels) == 8


def test_data_from_which_nothing_can_be_learnt_are_refused():
    with pytest.raises(DataError, match="cannot train on 'spots': none of its images can be read"):
        feed_of(Spots(n=1, broken=True), MODEL, Unchanged())
    with pytest.raises(DataError, match="cannot train on 'spots': its samples have no labels"):
        feed_of(Spots(knows=frozenset()), MODEL, Unchanged())
    with pytest.raises(DataError, match=r"and it has none; data that may have them: .*planted"):
        feed_of(Spots(knows=frozenset({"labels"})), MODEL, Unchanged(), regions=True)


def test_an_augmented_picture_is_cut_from_the_file_itself(tmp_path):
    """Of a wide picture whose halves are black and white, a squashing reader and a whole one see the same halves."""
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture = Image.new("RGB", (300, 100))
        picture.paste("white", (150, 0, 300, 100))
        picture.save(tmp_path / name / "x.png")
    data = load_data("folder", path=str(tmp_path), size=32)
    whole = Light(scale=(1.0, 1.0), ratio=(3.0, 3.0), flip=0.0)
    feed, _ = feed_of(data, MODEL, whole)
    rows = together(feed.lessons(0, (torch.arange(2),))).inputs[0, 0, 16]

    assert rows.shape == (32,)
    assert rows[:14].max() < -0.9
    assert rows[18:].min() > 0.9
    assert all(b >= a - 1e-6 for a, b in pairwise(rows.tolist()))
