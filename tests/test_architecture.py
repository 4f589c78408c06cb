"""Every import knows its room. Runs on source text, so it needs no third-party package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "xai_bench"

FLOORS = (  # an import may only point to an earlier floor, or stay in its room
    *("errors", "keys", "behaviour", "whole", "lock", "toml", "digests", "types", "seeding", "reductions", "catalogue"),
    "class_groups",
    *("digits", "grammar", "markdown", "exits", "outputs"),
    *("data", "ersm", "intrinsic"),
    *("adapters", "removal", "engine", "explainers", "training", "reinforcement", "metrics", "runs", "stats"),
    *("readings", "agreement", "claims", "comparison", "references", "gate"),
    *("reports", "results", "border", "relevance", "api"),
    *("one_image", "demo", "studies", "oracles", "selftest", "listing", "setup_gate"),
    *("cli_compare", "cli_check", "cli_runs", "cli_history", "cli_init", "cli_reference", "cli_studies", "cli_train"),
    *("cli", "pytest_plugin", "entry", "__main__"),
)
ROOMS = {  # third-party package -> the only rooms that may import it
    "captum": {"explainers"},
    "timm": {"intrinsic", "adapters", "removal", "training"},
    "skimage": {"data", "removal", "engine", "explainers", "metrics"},
    "torchvision": {"data", "training"},
    "pycocotools": {"data"},
    "pandas": {
        "runs",
        "stats",
        "readings",
        "agreement",
        "comparison",
        "references",
        "gate",
        "reports",
        "results",
        "border",
        "api",
        "studies",
    },
    "pyarrow": {"runs"},
    "ray": {"runs"},
    "fsspec": {"runs"},
    "filelock": {"lock", "pytest_plugin"},
    "scipy": {"removal", "stats", "agreement", "claims", "gate"},
    "matplotlib": {"reports", "results"},  # results: types only
    "jinja2": {"reports"},
    "tabulate": {"references", "gate", "reports", "cli", "cli_init", "cli_runs", "cli_train"},
    "click": {
        "cli",
        "cli_check",
        "cli_compare",
        "cli_history",
        "cli_init",
        "cli_reference",
        "cli_runs",
        "cli_studies",
        "cli_train",
    },
    "pytest": {"pytest_plugin"},
    "beartype": {"catalogue"},
    "gymnasium": {"reinforcement"},
    "stable_baselines3": {"reinforcement"},
}
WITHOUT_TORCH = {
    "errors",
    "keys",
    "behaviour",
    "whole",
    "lock",
    "toml",
    "digests",
    "digits",
    "grammar",
    "markdown",
    "reductions",
    "catalogue",
    "stats",
    "readings",
    "agreement",
    "claims",
    "comparison",
    "references",
    "gate",
    "reports",
    "results",
    "cli",
    "cli_check",
    "cli_compare",
    "cli_history",
    "cli_init",
    "cli_reference",
    "cli_runs",
    "cli_studies",
    "cli_train",
    "entry",
    "exits",
    "outputs",
    "pytest_plugin",
}
WITHOUT_TORCH_FILES = {"__init__.py"} | {
    f"runs/{name}.py"
    for name in (
        "__init__",
        "cells",
        "collect",
        "files",
        "identity",
        "joined",
        "means",
        "packing",
        "reading",
        "resume",
        "run",
        "store",
        "suite",
        "union",
        "verify",
    )
}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "xai_bench")


def violations(package: Path) -> Iterator[str]:
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package).as_posix()
        room = here.split("/")[0].removesuffix(".py")
        if room not in FLOORS and room != "__init__":
            yield f"{here} stands on no floor"
            continue
        for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
            top, _, rest = name.partition(".")
            if top in ROOMS and room not in ROOMS[top]:
                yield f"{here} imports {name}; {top} belongs to {', '.join(sorted(ROOMS[top]))}"
            if top == "torch" and (room in WITHOUT_TORCH or here in WITHOUT_TORCH_FILES):
                yield f"{here} imports torch"
            other = rest.split(".")[0]
            if top == "xai_bench" and other in FLOORS and room in FLOORS and FLOORS.index(other) > FLOORS.index(room):
                yield f"{here} imports {name}, which stands above it"


def test_every_import_is_in_its_room():
    assert list(violations(PACKAGE)) == []


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("stats.py", "import torch", "stats.py imports torch"),
        ("engine/case.py", "from xai_bench.metrics import METRICS", "which stands above it"),
        ("engine/case.py", "from xai_bench import api", "which stands above it"),
        ("metrics/deletion.py", "import captum.attr", "captum belongs to explainers"),
        ("helpers.py", "", "stands on no floor"),
    ],
)
def test_a_misplaced_import_is_found(tmp_path, file, line, found):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)

    assert [message for message in violations(tmp_path) if found in message]


@pytest.mark.parametrize("module", ["", ".cli", ".entry", ".results", ".reports", ".runs.store", ".runs.suite"])
def test_reports_and_commands_do_not_pay_for_torch(module):
    code = f"import sys, xai_bench{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_doors_at_the_top_lead_into_the_package():
    for room in ("metrics", "reports"):
        door = PACKAGE.parent / room
        assert door.is_symlink()
        assert door.resolve() == PACKAGE / room
