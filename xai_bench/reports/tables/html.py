"""Tables as fragments of a page, every name in them escaped."""

from markupsafe import Markup

from xai_bench.reports.html import environment
from xai_bench.reports.tables.sheet import Sheet


def html(sheet: Sheet) -> Markup:
    """A sortable table per grid, then the notes; `data-sort` holds what a column is sorted by."""
    return Markup(environment().get_template("sheet.html.j2").render(sheet=sheet))  # noqa: S704 - the template escapes
