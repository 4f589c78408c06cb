"""Tables as fragments of a page, every name in them escaped."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from xai_bench.reports.tables.sheet import Sheet


def html(sheet: Sheet) -> Markup:
    """A sortable table per grid, then the notes; `data-sort` holds what a column is sorted by."""
    return Markup(_template().render(sheet=sheet))  # noqa: S704 - the template escapes


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parents[1] / "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template("sheet.html.j2")
