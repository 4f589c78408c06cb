"""Label similarity on paper, and what is refused of its file."""

import shutil

import numpy as np
import pytest
import torch

from xai_bench.engine import Case, Pixel, Scene
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.label_similarity import LabelSimilarity
from xai_bench.metrics.removal_disturbance import Accuracy
from xai_bench.oracles import as_model
from xai_bench.removal import Fill, LayerMasking
from xai_bench.runs.suite import Suite
from xai_bench.types import Batch

BLACK = {"removal": Fill("black"), "unit": Pixel(), "steps": 4}


class Counting(torch.nn.Module):
    """Of four white pixels: class 2 while at least three remain, class 1 with two, class 0 with fewer."""

    def forward(self, images):
        total = images.mean(1).sum((1, 2))
        return torch.stack([torch.full_like(total, 1.5), 2.2 - (total - 2).abs(), 1.6 * (total - 1.5)], 1)


def stored(tmp_path, values):
    path = tmp_path / "similarities.npy"
    np.save(path, np.array(values))
    return str(path)


@pytest.fixture
def matrix(tmp_path):
    return stored(tmp_path, [[1.0, 0.5, 0.1], [0.5, 1.0, 0.4], [0.2, 0.4, 1.0]])


def case(labels=(2,)):
    count = len(labels)
    batch = Batch(torch.ones(count, 3, 2, 2), tuple(map(str, range(count))), labels=torch.tensor(labels))
    return Case(Scene(as_model(Counting()), batch))


def test_the_mean_over_fractions_of_the_predictions_likeness_to_the_label(matrix):
    # 4, 3, 2, 1, 0 pixels: classes 2, 2, 1, 0, 0, whose likeness to label 2 is 1, 1, .4, .2, .2 (row = label)
    curve = LabelSimilarity(matrix=matrix, **BLACK).curve(case())

    assert curve.values[0].tolist() == pytest.approx([1, 1, 0.4, 0.2, 0.2])
    assert score(LabelSimilarity(matrix=matrix, **BLACK), case()).values.item() == pytest.approx(2.8 / 5)
    assert score(LabelSimilarity(matrix=matrix, **BLACK), case((0,))).values.item() == pytest.approx(2.7 / 5)


def test_likeness_to_nothing_but_itself_is_accuracy(tmp_path):
    path, labels = stored(tmp_path, np.eye(3, dtype=np.int64)), (0, 1, 2)
    expected = score(Accuracy(**BLACK), case(labels)).values

    assert torch.equal(score(LabelSimilarity(matrix=path, **BLACK), case(labels)).values, expected)
    assert expected.tolist() == pytest.approx([2 / 5, 1 / 5, 2 / 5])


def test_another_removal_sees_another_likeness(tmp_path):
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU()),
        *(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)),
    ).eval()
    model, path = as_model(module, (8, 8), "1"), stored(tmp_path, [[1, 0.5, 0], [0.5, 1, 0.3], [0, 0.3, 1]])
    images = torch.rand(4, 3, 8, 8)
    scene = Scene(model, Batch(images, tuple("abcd"), labels=model(images).argmax(1)))
    for removal in (Fill("white"), LayerMasking()):
        metric = LabelSimilarity(matrix=path, removal=removal, unit=Pixel(), steps=10)
        curve, predicted = metric.curve(Case(scene)), metric.predicted(Case(scene))
        known = np.load(path)[scene.batch.labels.numpy()[:, None], predicted.values.long().numpy()]

        assert np.array_equal(curve.values.numpy(), known)
        assert curve.values[:, 0].tolist() == [1.0] * 4


def test_the_spec_holds_the_files_content_and_not_its_place(matrix, tmp_path):
    moved = tmp_path / "elsewhere.npy"
    shutil.copy(matrix, moved)
    other = tmp_path / "other.npy"
    np.save(other, np.eye(3))
    specs = [LabelSimilarity(matrix=str(path)).spec() for path in (matrix, moved, other)]

    assert specs[0] == specs[1] != specs[2]
    assert "matrix=sha256:" in specs[0]
    assert str(tmp_path) not in specs[0]


def test_without_a_matrix_it_says_what_to_give():
    needed = "needs matrix, a .npy file of K x K similarities"
    with pytest.raises(InvalidValueError, match=needed):
        LabelSimilarity().spec()
    with pytest.raises(InvalidValueError, match=needed):
        score(LabelSimilarity(**BLACK), case())


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ([[1.0, 0.5], [0.5, 1.0]], InvalidValueError, "is 2 x 2, but model 'counting' has 3 classes"),
        ([[1.0, 0.5, 0.1]], DataError, r"must be K x K numbers, got \(1, 3\) float64"),
        ([1.0, 0.5, 0.1], DataError, r"must be K x K numbers, got \(3,\) float64"),
        ([["a"] * 3] * 3, DataError, "must be K x K numbers"),
        ([[np.nan] * 3] * 3, DataError, "holds values that are not finite"),
        ([[{}] * 3] * 3, DataError, "is no .npy file of numbers"),
    ],
)
def test_a_matrix_that_is_none_is_refused(tmp_path, values, error, words):
    with pytest.raises(error, match=words):
        score(LabelSimilarity(matrix=stored(tmp_path, values), **BLACK), case())


def test_a_file_that_is_none_is_refused(tmp_path):
    text = tmp_path / "text.npy"
    text.write_text("no numbers")
    for path, words in (
        (text, "is no .npy file of numbers"),
        (tmp_path / "gone.npy", "cannot read matrix '.*gone.npy"),
    ):
        with pytest.raises(DataError, match=words):
            score(LabelSimilarity(matrix=str(path), **BLACK), case())


def test_a_label_that_is_no_class_is_undefined(matrix):
    found = score(LabelSimilarity(matrix=matrix, **BLACK), case((2, 7)))

    assert found.reasons == ("", "label is no class of the model")
    assert found.values[0].item() == pytest.approx(2.8 / 5)


def test_a_suites_matrix_is_found_beside_it(matrix, tmp_path):
    suite = {
        "models": ["x"],
        "data": ["planted"],
        "metrics": [{"name": "label_similarity", "matrix": "similarities.npy"}],
    }
    table = Suite.of(suite, tmp_path).metrics[0]

    assert METRICS.build(table).matrix == matrix
