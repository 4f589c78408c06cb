"""What MkDocs calls: pages made from the catalogues join the written ones, and links out of docs/ find their page."""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs takes the folder off the path once this file is read

import entry_pages
import gallery
import list_pages

EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/([\w.]+)\)")
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "reference/contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
    "examples/gate/README.md": "reference/gate-project.md",
}
OUTSIDE = re.compile(rf"\]\((?:\.\./)+({'|'.join(map(re.escape, BESIDE))})\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the sections of the navigation that the catalogues and folders decide."""
    config.nav = [_filled(section, Path(config.docs_dir)) for section in config.nav or []]
    return config


def _filled(section: dict[str, list[Any]], docs: Path) -> dict[str, list[Any]]:
    ((title, items),) = section.items()
    kind = title.lower()
    if kind in entry_pages.KINDS:
        for heading, index, names in entry_pages.names(kind):
            leaves = [*([index] if index else []), *({name: f"{kind}/{name}.md"} for name in names)]
            items = [*items, *([{heading: leaves}] if heading else leaves)]
    if title == "Reference":
        items = [
            *items,
            {"Decisions": [f"decisions/{path.name}" for path in sorted((docs / "decisions").glob("*.md"))]},
        ]
    return {title: items}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    prose = {file.src_uri: file.content_string for file in files.documentation_pages()}
    spoken = {path: markdown for path, markdown in prose.items() if not path.startswith("decisions/")}
    for path, markdown in (*entry_pages.pages(spoken), *list_pages.pages()):
        files.append(File.generated(config, path, content=markdown))
    files.append(File.generated(config, f"explainers/{gallery.NAME}", content=gallery.picture()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to files beside docs/ at the pages that show them."""
    here = posixpath.dirname(page.file.src_uri)

    def to(target: str) -> str:
        return f"]({posixpath.relpath(target, here or '.')})"

    markdown = EXAMPLE.sub(lambda found: to(f"reference/examples.md#{list_pages.anchor(found[1])}"), markdown)
    return OUTSIDE.sub(lambda found: to(BESIDE[found[1]]), markdown)
