import pandas as pd
import pytest

from xai_bench.reports.tables.marks import Wins, letters, superscript

PLACE = ("d", "deletion", "m")
NAMES = ("cam", "ig", "random", "edges")


def pairs(*decided):
    """Every two of ig, cam, random, edges; the decided ones as winner > loser."""
    names, rows = ("ig", "cam", "random", "edges"), []
    for place, a in enumerate(names):
        for b in names[place + 1 :]:
            better = "a" if (a, b) in decided else "b" if (b, a) in decided else ""
            rows.append((*PLACE, a, b, 0.5, better))
    return pd.DataFrame(rows, columns=["data", "metric", "fixed", "a", "b", "p_holm", "better"])


def test_letters_go_on_after_z():
    assert letters(3) == ("a", "b", "c")
    assert letters(28)[-3:] == ("z", "aa", "ab")
    assert letters(703)[-2:] == ("zz", "aaa")
    assert len(set(letters(2000))) == 2000


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([1, 3], "bd"),
        ([3, 1, 2], "bcd"),
        ([1, 2, 3, 4], "b-e"),
        ([1, 3, 4, 5, 6, 26], "b,d-g,aa"),
        (range(1, 1000), "b-all"),
        (range(0, 40, 2), "a,c,e,g,i,k,m,o,…(20)"),
    ],
)
def test_a_superscript_names_rows_by_letter(rows, words):
    assert superscript(rows) == words


def test_who_beats_whom_is_read_from_either_side_of_a_pair():
    wins = Wins(pairs(("cam", "ig"), ("cam", "random"), ("random", "edges")))

    assert wins.losers == {(*PLACE, "cam"): {"ig", "random"}, (*PLACE, "random"): {"edges"}}


def test_ranks_are_what_the_tests_leave_open():
    wins = Wins(pairs(("cam", "ig"), ("cam", "random"), ("cam", "edges"), ("ig", "edges")))

    found = {name: wins.rank((*PLACE, name), NAMES) for name in NAMES}

    assert found == {"cam": (1, 1), "ig": (2, 3), "random": (2, 4), "edges": (3, 4)}
    assert wins.rank((*PLACE, "edges"), NAMES[1:]) == (2, 3)  # cam does not compete


def test_nothing_tested_has_no_rank():
    untested = pairs().assign(p_holm=float("nan"))

    assert Wins(untested).rank((*PLACE, "ig"), NAMES) is None
    assert Wins(pairs()).rank((*PLACE, "ig"), NAMES) == (1, 4)
