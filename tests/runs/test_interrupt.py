"""Ctrl-C: the end comes soon, what was finished is kept, no process is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import xai_bench as xb

SUITE = """
explainers = ["random", "python:slow:slow"]
metrics = ["pointing_game"]
models = [{ name = "timm:test_resnet", pretrained = false, num_classes = 4, input_size = 32 }]
data = { name = "planted", n = 12, size = 32, batch_size = 2 }
"""
SLOW = """
import os, time
def slow(model, images, targets):
    time.sleep(float(os.environ["NAP"]))
    return images.mean(1)
"""


def start(folder, nap, *words):
    code = "from xai_bench.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "suite.toml", "--out", "run", *words]
    environment = os.environ | {"NAP": str(nap), "PYTHONPATH": f"{folder}:{Path(xb.__file__).parents[1]}"}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def children(pid):
    """Of the process and of theirs."""
    direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return direct + [grandchild for child in direct for grandchild in children(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc lists no children here")
def test_an_interrupted_run_keeps_what_was_finished_and_leaves_no_process(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "slow.py").write_text(SLOW)
    process = start(tmp_path, 0.3, "--loaders", "1", "--quiet")
    while not list(tmp_path.glob("run/scores/[!.]*.parquet")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    helpers = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    kept = len(xb.load_results(tmp_path / "run").scores)

    assert process.returncode == 130
    assert said.decode().strip() == "interrupted; what was finished is kept"
    assert helpers
    assert not [child for child in helpers if Path(f"/proc/{child}").exists()]
    assert 4 <= kept < 24
    assert not list(tmp_path.glob("run/*/.*"))
