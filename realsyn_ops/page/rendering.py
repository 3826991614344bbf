"""Pages out of templates: every text is escaped, a missing value is an error, numbers read as in the reports."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from realsyn_ops.report import wording

FOLDER = Path(__file__).parent
VIEWS = {
    "": "Funnel", "days": "Days", "gallery": "Gallery", "rejects": "Rejects", "balance": "Balance",
    "releases": "Releases", "takedowns": "Takedowns", "gates": "Gates",
}  # fmt: skip
_FILTERS = (
    wording.count, wording.drop, wording.megabytes, wording.number, wording.percent, wording.plural,
    wording.reason_meaning, wording.reason_name, wording.seconds, wording.short_count,
)  # fmt: skip


def page(request: Request, view: str, **values: Any) -> HTMLResponse:
    """The page of a view; addresses in it start with `root`, where Airflow has put the app."""
    root = request.scope.get("root_path", "").rstrip("/")
    template = _environment().get_template(f"{view or 'funnel'}.html.j2")
    return HTMLResponse(template.render(root=root, view=view, views=VIEWS, **values))


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update({render.__name__: render for render in _FILTERS})
    return environment
