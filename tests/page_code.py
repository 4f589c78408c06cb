"""The code blocks of a page, carried out in the order in which a reader meets them."""

import re
import shlex
import sys
import tomllib
from itertools import takewhile
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

import xai_bench as xb
from xai_bench.adapters.checkpoint import save_model
from xai_bench.cli import cli

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TINY = {"name": "timm:test_resnet", "num_classes": 4, "pretrained": False}


def blocks(page, language):
    return [code for found, code in FENCE.findall(page) if found == language]


def furnish(folder):
    """What pages speak of: pictures with masks and maps, a photo, and a small model in the place of large ones."""
    rng = np.random.default_rng(0)
    for kind, name in (("cat", "tom"), ("cat", "kit"), ("dog", "rex")):
        for room in ("pictures", "masks"):
            (folder / room / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / "pictures" / kind / f"{name}.png")
        mask = np.zeros((40, 48), np.uint8)
        mask[10:30, 12:36] = 255
        Image.fromarray(mask).save(folder / "masks" / kind / f"{name}.png")
        (folder / "theirs" / kind).mkdir(parents=True, exist_ok=True)
        np.savez(folder / "theirs" / kind / f"{name}.npz", map=rng.random((7, 7)))
    Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / "photo.jpg")
    torch.manual_seed(0)
    tiny = xb.load_model(**TINY, input_size=32, device="cpu")
    save_model(tiny, folder / "tiny.safetensors", recipe=TINY | {"label": "tiny"})


def smaller(code):
    """The same code with the small model."""
    return code.replace("timm:resnet50", "tiny.safetensors")


def files(page):
    """Suites that begin with `# name.toml`, by that name."""
    named = ((re.match(r"# (\w+\.toml)\n", code), smaller(code)) for code in blocks(page, "toml"))
    return {found[1]: code for found, code in named if found}


class Reader:
    """Carries out a page's Python; a block that begins with `# name.py` is the file of that name."""

    def __init__(self, folder):
        self.folder, self.names, self.files = folder, {"__name__": "page"}, []

    def __enter__(self):
        sys.path.insert(0, str(self.folder))
        return self

    def __exit__(self, *_):
        sys.path.remove(str(self.folder))
        for name in self.files:
            sys.modules.pop(name, None)

    def read(self, page):
        for code in blocks(page, "python"):
            if named := re.match(r"# (\w+)\.py\n", code):
                Path(self.folder, f"{named[1]}.py").write_text(code, encoding="utf-8")
                self.files.append(named[1])
            else:
                exec(compile(smaller(code), "page", "exec"), self.names)


def suites(page):
    """The tables of a page that are suites."""
    tables = [tomllib.loads(smaller(code)) for code in blocks(page, "toml")]
    return [table for table in tables if {"models", "metrics", "data"} <= table.keys()]


def commands(page):
    """Words of every xai-bench command of a page, up to what the shell does next."""
    lines = [shlex.split(smaller(line), comments=True) for code in blocks(page, "sh") for line in code.splitlines()]
    places = [(line, line.index("xai-bench")) for line in lines if "xai-bench" in line]
    found = [line[place + 1 :] for line, place in places if line[:place] != ["pip", "install"]]
    return [list(takewhile(lambda word: word not in ("||", "&&"), words)) for words in found]


def check_command(words):
    """UsageError where the command or an option does not exist."""
    command, context = cli, click.Context(cli, info_name="xai-bench")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, list(words))
