"""The site as MkDocs builds it: no dead link, a page for each entry, nothing from outside."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xai_bench as xb

ROOT = Path(__file__).parent.parent
LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    # never --quiet: MkDocs then hears no warnings, and counts none
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    return out


def html(site, page):
    return (site / page).read_text(encoding="utf-8")


def test_every_entry_has_its_page(site):
    kinds = {"metrics": xb.METRICS, "explainers": xb.EXPLAINERS, "removals": xb.REMOVALS}
    missing = [
        f"{kind}/{name}"
        for kind, names in kinds.items()
        for name in names
        if not (site / kind / f"{name}.html").exists()
    ]

    assert missing == []


def test_every_public_name_is_in_the_reference(site):
    page = html(site, "reference/python.html")

    assert [name for name in xb.__all__ if not re.search(rf"id=\"[\w.]*\b{name}\"|<code>xb\.{name}</code>", page)] == []


def test_every_command_is_in_the_reference(site):
    page = html(site, "reference/commands.html")

    assert {"xai-bench run", "xai-bench runs gc", "xai-bench study camal"} <= set(
        re.findall(r"<h2[^>]*>([^<]+)<", page)
    )


def test_nothing_is_loaded_from_outside(site):
    found = {url for page in site.rglob("*.html") for url in LOADED.findall(page.read_text(encoding="utf-8"))}

    assert found == set()


def test_links_to_files_beside_docs_lead_to_their_page(site):
    assert 'href="reference/examples.html#ersm_birds-toml"' in html(site, "ersm-study.html")
    assert 'id="ersm_birds-toml"' in html(site, "reference/examples.html")


def test_the_search_works_from_a_disk(site):
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    assert 'src="../vendor/iframe-worker/shim.js"' in html(site, "metrics/deletion.html")
