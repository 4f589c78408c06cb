"""What both studies refuse of what they are given."""

import pytest

from xai_bench.errors import InvalidValueError
from xai_bench.studies.camal.settings import CamalSettings
from xai_bench.studies.ersm import ErsmSettings


@pytest.mark.parametrize("study", [ErsmSettings, CamalSettings])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": {"name": "planted", "n": 5}}, "n in data of study .* is given by .*test"),
        (
            {"data": {"name": "planted", "split": "test"}},
            "split in data of study .* is given by train_split",
        ),
        ({"data": {"size": 32}}, "must be a table with a name"),
        ({"splits": ["test", "test"]}, "splits of study .* must be different names"),
        ({"weights": [float("nan")]}, "weights of study"),
    ],
    ids=["n", "split", "nameless", "twice", "nan"],
)
def test_what_the_study_gives_itself_and_what_is_no_number_is_refused(study, changed, message):
    with pytest.raises(InvalidValueError, match=message):
        study.of(changed)
