"""RFxG's four scores on paper, in both readings, and against a straight-line evaluation."""

import json
import math

import numpy as np
import pytest
import torch

from xai_bench.class_groups import Ranked
from xai_bench.engine import Case, Scene
from xai_bench.errors import DataError, InvalidValueError
from xai_bench.metrics import METRICS, score
from xai_bench.metrics.ccs import Ccs
from xai_bench.metrics.cgc import Cgc
from xai_bench.metrics.cgs import Cgs
from xai_bench.metrics.pgs import Pgs
from xai_bench.oracles import as_model
from xai_bench.types import Batch

A, B, C, D = range(4)


class Told(torch.nn.Module):
    """Ten white pixels, h of them hidden: p_a = .6 - .05 h, p_b = .2, and c and d share the rest: .1 + .025 h each."""

    def forward(self, images):
        hidden = 10 - images.mean(1).sum((1, 2))
        a, rest = 0.6 - 0.05 * hidden, 0.1 + 0.025 * hidden
        return torch.stack([a, torch.full_like(a, 0.2), rest, rest], 1).log()


MAPS = torch.arange(10.0).view(1, 2, 5)


def told(targets=None):
    return Case(Scene(as_model(Told(), (2, 5)), Batch(torch.ones(1, 3, 2, 5), ("a",)), targets=targets), MAPS)


# Every p is linear in h, so that each area is .8 times its value in the middle, at h = 5:
# p_a = .35 and has fallen by .25, p_b = .2 has not changed, p_c = p_d = .225 have grown by .125
ON_PAPER = [
    (Ccs(against=B), 0.8 * (0.35 - 0.2)),
    (Ccs(), 0.8 * (0.35 - 0.2)),  # b is the second class of the clean image
    (Ccs(against=C), 0.8 * (0.35 - 0.225)),
    (Pgs(group=(A, B)), 0.8 * (0.25 + 0) / 2),
    (Pgs(group=(A,)), 0.8 * 0.25),
    (Pgs(), 0.8 * (0.25 + 0) / 2),
    (Pgs(group=(C, D)), 0.8 * -0.125),
    (Cgc(group=(A, B)), 0.8 * (0 + 0.25) / 2),
    (Cgc(group=(A, C)), 0.8 * (0.125 + 0.25) / 2),
    (Cgc(group=(A, B), reading="as_coded"), 0.8 * (-0.25 / 2 - 0.25) / 2),
    (Cgc(group=(A,), reading="as_coded"), 0.8 * (-0.25 - 0.25) / 2),
    (Cgs(group=(A, B), against=(C, D)), 0.8 * (0.125 + 0.125) / 2),
    (Cgs(), 0.8 * (0.125 + 0.125) / 2),
    (Cgs(group=(A,), against=(B, C)), 0.8 * (0.0625 + 0.25) / 2),
    (Cgs(group=(A,), against=(B,), reading="as_coded"), 0.8 * -0.25 / 2),
]


@pytest.mark.parametrize(("metric", "expected"), ON_PAPER)
def test_on_paper(metric, expected):
    assert score(metric, told()).values.item() == pytest.approx(expected, abs=1e-6)


def test_the_area_is_not_divided_by_its_width():
    # half the width, and h = 3 in the middle: p_a = .45
    assert score(Ccs(steps=(0.1, 0.5), against=B), told()).values.item() == pytest.approx(0.4 * 0.25, abs=1e-6)
    assert Ccs(steps=(0.1, 0.5)).bounds == (-0.4, 0.4)


class Decides(torch.nn.Module):
    """Class a for sure while the upper left pixel is white, else class b for sure; c and d never."""

    def forward(self, images):
        sure = 60 * images[:, 0, 0, 0]
        return torch.stack([sure, 60 - sure, sure - 90, sure - 90], 1)


def test_perfect_and_worst_maps_reach_the_bounds():
    maps = torch.rand(1, 2, 5, generator=torch.Generator().manual_seed(0))
    maps[0, 0, 0] = 2.0
    scene = Scene(as_model(Decides(), (2, 5)), Batch(torch.ones(1, 3, 2, 5), ("a",)))
    perfect, worst = Case(scene, maps), Case(scene, -maps)
    found = {
        metric: (score(metric, perfect).values.item(), score(metric, worst).values.item())
        for metric in (Ccs(against=B), Pgs(group=(A,)), Cgc(group=(A, B)), Cgs(group=(A,), against=(B,)))
    }

    assert [found[metric] for metric in found] == [
        pytest.approx(pair, abs=1e-6) for pair in [(-0.8, 0.8), (0.8, 0), (0.8, 0), (0.8, 0)]
    ]


def test_directions_are_those_of_the_readings():
    assert Ccs().card.better == "lower"
    assert Pgs().card.better == "higher"
    assert (Cgc().card.better, Cgc(reading="as_coded").card.better) == ("higher", "lower")
    assert (Cgs().card.better, Cgs(reading="as_coded").card.better) == ("higher", "lower")


def test_a_straight_line_evaluation_gives_the_same():
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 6)
    head.weight.data *= 40
    parts = torch.nn.Conv2d(3, 8, 5, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), head
    module = torch.nn.Sequential(*parts).eval()
    images, maps = torch.rand(3, 3, 20, 20), torch.rand(3, 20, 20)
    case = Case(Scene(as_model(module, (20, 20)), Batch(images, ("a", "b", "c"))), maps)
    ours = {name: score(METRICS.build(name), case).values.numpy() for name in ("ccs", "pgs", "cgc", "cgs")}

    for row in range(3):
        clean = probabilities(module, images[row])
        a, *others = np.argsort(-clean)
        order = (-maps[row].numpy().ravel()).argsort()
        points = {name: [] for name in ours}
        for alpha in range(1, 10):
            hidden = images[row].clone().reshape(3, -1)
            hidden[:, torch.tensor(order[: 40 * alpha])] = 0
            p = probabilities(module, hidden.reshape(3, 20, 20))
            change = p - clean
            points["ccs"].append(p[a] - p[others[0]])
            points["pgs"].append(-(change[a] + change[others[0]]) / 2)
            points["cgc"].append((change[others[0]] - change[a]) / 2)
            points["cgs"].append((change[others[1:3]].mean() - (change[a] + change[others[0]]) / 2) / 2)
        for name, values in points.items():
            assert ours[name][row] == pytest.approx(np.trapezoid(values, dx=0.1), abs=1e-5)
    assert np.abs(ours["pgs"]).max() > 0.05


def probabilities(module, image):
    with torch.no_grad():
        return module(image[None]).double().softmax(1)[0].numpy()


def test_the_four_share_their_forward_passes():
    class Counting(Told):
        seen = 0

        def forward(self, images):
            self.seen += len(images)
            return super().forward(images)

    module = Counting()
    case = Case(Scene(as_model(module, (2, 5)), Batch(torch.ones(1, 3, 2, 5), ("a",))), MAPS)
    for metric in (Ccs(), Pgs(), Cgc(), Cgs(), Cgc(reading="as_coded")):
        score(metric, case)

    assert module.seen == 1 + 9


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Ccs(against=A), "the other class is the target"),
        (Cgc(group=(B, C)), "the group does not hold the target"),
        (Cgc(group=(A,)), "the group holds only the target"),
        (Cgs(group=4), "group holds every class of the model"),
        (Pgs(group=4), "group holds every class of the model"),
        (Cgs(group=(A, B), against=(C, D), reading="as_coded"), "the two groups hold every class of the model"),
        (Cgs(group=(A, B), against=(B, C)), "the two groups share a class"),
    ],
)
def test_without_the_classes_it_is_undefined(metric, reason):
    found = score(metric, told())

    assert found.reasons == (reason,)
    assert math.isnan(found.values.item())


def test_a_model_of_one_class_has_no_other():
    class One(torch.nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3))[:, None]

    case = Case(Scene(as_model(One(), (2, 5)), Batch(torch.ones(1, 3, 2, 5), ("a",))), MAPS)

    assert score(Ccs(), case).reasons == ("the model has one class",)
    assert score(Pgs(), case).reasons == ("group holds every class of the model",)  # its probability is always 1
    assert score(Cgc(), case).reasons == ("the group holds only the target",)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"first": [A, B], "second": [C, D]}))
    return str(path)


def test_groups_of_a_file_are_those_of_the_target_and_of_the_runner_up(file):
    assert score(Cgs(group=file, against=file), told()).values.item() == pytest.approx(0.8 * 0.125, abs=1e-6)
    # of the target d: its own group has grown, the group of a (the highest outside) has fallen by .125 on average
    other = score(Cgs(group=file, against=file), told(torch.tensor([D])))
    assert other.values.item() == pytest.approx(0.8 * (-0.125 - 0.125) / 2, abs=1e-6)


def test_a_spec_knows_a_file_by_its_content(file, tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"first": [A, C], "second": [B, D]}))
    specs = [Pgs(group=name).spec().replace(name, "") for name in (file, str(tmp_path / "other.json"))]

    assert specs[0] != specs[1]
    assert "groups=" in specs[0]


def test_a_target_in_no_group_is_undefined(tmp_path):
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"some": [B, C]}))

    assert score(Pgs(group=str(path)), told()).reasons == ("no group holds the target",)


def test_the_target_leads_its_group_whatever_its_logit():
    ranked = Ranked(torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.tensor([3]))
    first = ranked.first(2)

    assert first.tolist() == [[True, False, False, True]]
    assert ranked.against(2, first).tolist() == [[False, True, True, False]]
    assert ranked.against(9, first).tolist() == [[False, True, True, False]]
    assert ranked.runner_up().tolist() == [0]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"a": []}', '{"a": [1.5]}', '{"a": [-1]}'])
def test_a_file_that_holds_no_groups_is_refused(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(DataError, match="groups of classes"):
        Pgs(group=str(path))


def test_wrong_parameters_are_refused():
    for group in (0, (), (1, 1), (-1, 2)):
        with pytest.raises(InvalidValueError, match="group of pgs must"):
            Pgs(group=group)
    with pytest.raises(InvalidValueError, match="at least 2 fractions"):
        Ccs(steps=(0.5,))
    with pytest.raises(InvalidValueError, match="against of ccs must be a class or 'runner_up', got -1"):
        Ccs(against=-1)
    with pytest.raises(InvalidValueError, match="class 7, outside the classes 0 to 3"):
        score(Ccs(against=7), told())
    with pytest.raises(InvalidValueError, match="class 9 of a group is outside the classes 0 to 3"):
        score(Pgs(group=(0, 9)), told())


def test_a_suite_may_name_groups_as_lists():
    assert METRICS.build({"name": "cgs", "group": [0, 1], "against": [2]}) == Cgs(group=(0, 1), against=(2,))
    assert METRICS.build({"name": "ccs", "removal": {"name": "blur", "sigma": 0.0223}}).removal.sigma == 0.0223
