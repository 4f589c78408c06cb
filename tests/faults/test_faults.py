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


@pytest.fixture(scope="session")
def harness():
    """The harness in a process of its own, which imports once and forks for every fault."""
    command = [sys.executable, str(HARNESS), "--listen", "--kills", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize("fault", [fault.__name__ for fault in FAULTS if fault not in SLOW])
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


@pytest.mark.filterwarnings("ignore:run folder .* has scores whose curves are gone")
@pytest.mark.parametrize("room", ["scores", "curves"])
def test_the_harness_sees_a_lost_unit(run, copy, room):
    units(copy, room)[0].unlink()

    assert f"{room} lost" in "; ".join(problems(holding(copy), holding(run)))


def test_the_harness_sees_a_doubled_unit(run, copy):
    victim = units(copy, "curves")[0]
    for path in copy.glob(f"*/{victim.stem}.*"):
        shutil.copy(path, path.with_stem("twin"))
    found = holding(copy)

    assert {len(key) for key in found.doubled} == {len(CELL), len(CELL) + 1}  # rows and points
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
