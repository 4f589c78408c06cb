"""Runs that something happens to lose nothing; the harness that says so notices every kind of loss."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness import FAULTS, SLOW
from rig import CELL, holding, leftovers, problems

HARNESS = Path(__file__).with_name("harness.py")

OPEN = {  # what is known to be lost, and is to be mended
    "killed": "killed starts leave temporary files, and a unit killed before its scores doubles its curves",
    "killed_before_each_step": "as above, and a folder killed before its run.json holds other things than a run",
    "two_at_once": "nothing keeps a second process out of a run folder",
    "disk_full": "a full disk is a traceback",
    "file_too_large": "a limit on files is a traceback",
    "no_permission": "a folder that may not be written is a traceback",
    "damaged_files": "a damaged run.json is refused without what to do",
    "flipped_bits": "Parquet pages have no checksums",
    "flipped_bits_in_maps": "maps have no checksums",
    "another_run": "another version of a metric is refused, but what differs is not said",
}


@pytest.fixture(scope="session")
def harness():
    """The harness in a process of its own, which imports once and forks for every fault."""
    command = [sys.executable, str(HARNESS), "--listen", "--kills", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, marks=pytest.mark.xfail(reason=OPEN[fault], strict=fault != "killed") if fault in OPEN else []
        )
        for fault in (fault.__name__ for fault in FAULTS if fault not in SLOW)
    ],
)
def test_nothing_is_lost(harness, fault):
    harness.stdin.write(f"{fault}\n")
    harness.stdin.flush()
    verdict = json.loads(harness.stdout.readline())
    if verdict["skipped"]:
        pytest.skip(verdict["skipped"])

    assert verdict["wrong"] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from rig import evaluate, few

    folder = tmp_path_factory.mktemp("run") / "whole"
    evaluate(folder, few(2))
    return folder


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def units(folder, room):
    return sorted(path for path in (folder / room).glob("*.parquet") if path.stem != "set")


def test_the_harness_finds_nothing_in_a_whole_run(run):
    assert problems(holding(run), holding(run)) == []


@pytest.mark.parametrize("room", ["scores", "curves"])
def test_the_harness_sees_a_lost_unit(run, copy, room):
    units(copy, room)[0].unlink()

    assert f"{room} lost" in "; ".join(problems(holding(copy), holding(run)))


@pytest.mark.parametrize(("room", "columns"), [("scores", CELL), ("curves", (*CELL, "fraction"))])
def test_the_harness_sees_a_doubled_unit(run, copy, room, columns):
    victim = units(copy, room)[0]
    shutil.copy(victim, victim.with_stem("twin"))
    found = holding(copy)

    assert len(found.doubled[0]) == len(columns)
    assert "doubled" in problems(found, holding(run))[0]


def test_the_harness_sees_the_last_bit_of_a_score(run):
    whole = holding(run)
    cell, (target, reason, score, *rest) = next(iter(whole.scores.items()))
    nearly = bytes([score[0] ^ 1]) + score[1:]
    changed = replace(whole, scores={**whole.scores, cell: (target, reason, nearly, *rest)})

    assert problems(changed, whole) == [f"1 of {len(whole.scores)} scores different, such as {cell}"]


@pytest.mark.parametrize("name", ["scores/.half.parquet.1f", ".lock", "run.lock", "maps/x.safetensors.tmp"])
def test_the_harness_sees_what_is_left_behind(copy, name):
    (copy / name).touch()

    assert leftovers(copy) == [name]
