"""errors, types, seeding, keys, reductions, catalogue, self-test: small rooms, small tests."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest
import torch

from xai_bench import selftest
from xai_bench.catalogue import Catalogue, describe, imported, label
from xai_bench.errors import InvalidValueError, UnknownNameError, XaiBenchError
from xai_bench.keys import digest, key
from xai_bench.metrics import METRICS
from xai_bench.metrics.deletion import Deletion
from xai_bench.reductions import class_entropy, mean
from xai_bench.removal import Blur, Fill
from xai_bench.seeding import Noise
from xai_bench.types import Batch, Card


class TestErrors:
    def test_the_nearest_match_is_named(self):
        error = UnknownNameError.of("metric", "deltion", ["deletion", "insertion"])

        assert str(error) == "unknown metric 'deltion'; did you mean 'deletion'?"

    def test_where_nothing_is_near_all_are_named(self):
        assert str(UnknownNameError.of("metric", "zzz", ["b", "a"])) == "unknown metric 'zzz'; known: a, b"

    def test_all_errors_are_of_one_family(self):
        assert issubclass(InvalidValueError, XaiBenchError)


@pytest.mark.usefixtures("unchecked")
class TestBatch:
    IMAGES = torch.zeros(2, 3, 4, 4)

    @pytest.mark.parametrize(
        ("changed", "sentence"),
        [
            ({"ids": ("a",)}, "ids must be 2 unique names, got 1 in 1"),
            ({"ids": ("a", "a")}, "ids must be 2 unique names, got 1 in 2"),
            ({"images": IMAGES + 2}, r"images must be RGB in \[0, 1\] before normalisation, got values in \[2, 2\]"),
            ({"images": IMAGES * torch.nan}, r"got values in \[nan, nan\]"),
            ({"labels": torch.tensor([1])}, "2 images but 1 labels"),
            ({"faults": ("x",)}, "2 images but 1 faults"),
        ],
    )
    def test_what_disagrees_is_named(self, changed, sentence):
        with pytest.raises(InvalidValueError, match=sentence):
            Batch(**({"images": self.IMAGES, "ids": ("a", "b")} | changed))

    def test_masks_must_have_the_images_size(self):
        masks = torch.zeros(2, 5, 4, dtype=torch.bool)

        with pytest.raises(InvalidValueError, match=r"regions must be \(2, 4, 4\) bool, got \(2, 5, 4\)"):
            Batch(self.IMAGES, ("a", "b"), regions=masks)


class TestNoise:
    def test_is_a_function_of_seed_purpose_and_id(self):
        draw = Noise(0, "x", ("a", "b")).uniform(3)

        assert torch.equal(draw, Noise(0, "x", ("a", "b")).uniform(3))
        assert torch.equal(draw[1:], Noise(0, "x", ("b",)).uniform(3))
        for other in (Noise(1, "x", ("a",)), Noise(0, "y", ("a",)), Noise(0, "x", ("c",))):
            assert not torch.equal(draw[:1], other.uniform(3))

    def test_permutations_are_permutations(self):
        assert sorted(Noise(0, "x", ("a",)).permutations(9)[0].tolist()) == list(range(9))

    def test_normal_numbers_are_normal(self):
        draw = Noise(0, "x", ("a",)).normal(20_000)

        assert abs(draw.mean().item()) < 0.03
        assert draw.std().item() == pytest.approx(1, abs=0.03)

    def test_keys_do_not_collide_where_sums_would(self):
        assert key(0, 1) != key(1, 0)
        assert key("a", "bc") != key("ab", "c")
        assert len(digest("a")) == 12


class TestReductions:
    def test_mean(self):
        assert mean(np.array([[1.0, 2.0], [3.0, 4.0]])) == 2.5

    def test_entropy_of_one_class_is_zero(self):
        assert class_entropy(np.zeros((5, 2))) == 0.0

    def test_entropy_of_four_equal_classes(self):
        assert class_entropy(np.array([[0.0], [1], [2], [3]])) == pytest.approx(np.log(4))


class TestCatalogue:
    def test_names_protocols_tables_and_objects_build_the_same(self):
        assert (
            METRICS.build("deletion") == METRICS.build({"name": "deletion"}) == METRICS.build(Deletion()) == Deletion()
        )
        assert METRICS.build("deletion@rise") == Deletion(removal=Fill("mean"), steps=224, ties="last")

    def test_a_protocol_can_be_changed_by_a_key(self):
        assert METRICS.build({"name": "deletion@rise", "steps": 8}).removal == Fill("mean")

    def test_nested_entries_are_names_or_tables(self):
        assert METRICS.build({"name": "deletion", "removal": "fill"}).removal == Fill()
        table = {"name": "deletion", "removal": {"name": "fill", "colour": [1, 0, 0.5]}}
        assert METRICS.build(table).removal == Fill((1.0, 0.0, 0.5))

    def test_whole_numbers_are_taken_for_reals(self):
        assert METRICS.build({"name": "deletion", "removal": {"name": "blur", "sigma": 1}}).removal == Blur(sigma=1.0)

    def test_labels_are_short_and_round(self):
        assert label(Deletion()) == "deletion"
        assert label(METRICS.build("deletion@rise")) == "deletion@rise"
        assert label(Deletion(steps=5)) == "deletion(steps=5)"
        assert label(Deletion(removal=Fill())) == "deletion(removal=fill)"
        assert label(Deletion(removal=Fill("black"))) == "deletion(removal=fill(colour=black))"
        assert describe(Fill((0.5, 0.25, 0.0))) == "fill(colour=0.5/0.25/0)"

    @pytest.mark.parametrize("wrong", [3, None, {"steps": 3}, {"name": 3}])
    def test_what_names_nothing_is_refused(self, wrong):
        with pytest.raises(InvalidValueError, match="metric"):
            METRICS.build(wrong)

    def test_plug_ins_join_through_entry_points(self, monkeypatch):
        @dataclass(frozen=True)
        class Plugged(Fill):
            card: ClassVar = Card("plugged", source="a plug-in")

        class Point(EntryPoint):
            def load(self):
                return Plugged

        asked, point = [], Point("plugged", "plugged:Plugged", "xai_bench.removals")
        monkeypatch.setattr("xai_bench.catalogue.entry_points", lambda group: asked.append(group) or [point])

        assert "plugged" in Catalogue("removal", Fill, (Fill,))
        assert asked == ["xai_bench.removals"]

    def test_an_import_path_is_followed_or_refused(self):
        assert imported("math:pi") == pytest.approx(3.14159, abs=1e-5)
        for path, sentence in [
            ("math", "an import path is package.module:name, got 'math'"),
            ("no_such_module:x", "cannot import 'no_such_module'"),
            ("math:sqr", r"unknown name in math 'sqr'; did you mean 'sqrt'"),
        ]:
            with pytest.raises(XaiBenchError, match=sentence):
                imported(path)


class TestSelftest:
    def test_every_oracle_agrees(self):
        outcomes = selftest.run_oracles()

        assert [outcome.oracle for outcome in outcomes if not outcome.passed] == []
        assert len(outcomes) == len(selftest.ORACLES)

    def test_a_planted_fault_is_caught(self, monkeypatch):
        monkeypatch.setattr("xai_bench.metrics.removal_curve.area", lambda curve, rule: curve.values.mean(1))
        failed = [outcome.oracle for outcome in selftest.run_oracles() if not outcome.passed]

        assert failed == ["deletion of a sum", "insertion of a sum"]
