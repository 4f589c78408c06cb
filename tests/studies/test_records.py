"""Tables of a study: made once, and found again."""

import pandas as pd

from xai_bench.studies.records import kept


def test_a_table_is_made_once_for_its_settings(tmp_path):
    made = []

    def make() -> pd.DataFrame:
        made.append(1)
        return pd.DataFrame({"sample": ["a", "b"], "score": [0.5, float("nan")], "count": [len(made), 2]})

    first = kept(tmp_path / "records", "deletion", {"seed": 0, "weights": (1e-3, 0.1)}, make)
    again = kept(tmp_path / "records", "deletion", {"weights": (1e-3, 0.1), "seed": 0}, make)
    other = kept(tmp_path / "records", "deletion", {"seed": 1, "weights": (1e-3, 0.1)}, make)

    pd.testing.assert_frame_equal(first, again)
    assert other["count"][0] == 2
    assert len(made) == 2
    assert sorted(path.suffix for path in (tmp_path / "records").iterdir()) == [".parquet", ".parquet"]


def test_a_table_that_could_not_be_made_leaves_nothing(tmp_path):
    def fail() -> pd.DataFrame:
        raise RuntimeError

    try:
        kept(tmp_path, "deletion", {}, fail)
    except RuntimeError:
        assert list(tmp_path.iterdir()) == []
    else:
        raise AssertionError
