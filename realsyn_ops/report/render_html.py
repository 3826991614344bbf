"""The report as one self-contained page: it loads nothing, runs nothing, and escapes every text it is handed."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from realsyn_ops.report import wording
from realsyn_ops.report.drawings import draw_bands, draw_clusters
from realsyn_ops.report.figures import STREAMS, read_figures
from realsyn_ops.report.gallery import read_gallery

_FILTERS = (
    wording.count,
    wording.drop,
    wording.megabytes,
    wording.number,
    wording.percent,
    wording.plural,
    wording.reason_meaning,
    wording.reason_name,
    wording.seconds,
    wording.short_count,
)


def render_html(report: Mapping[str, Any], gallery: Mapping[str, Any]) -> str:
    """The page for a ``report.json`` and its ``gallery.json``: the same input makes the same bytes."""
    figures = read_figures(report)
    seen = read_gallery(gallery)
    chosen = figures.selection
    return _template().render(
        figures=figures,
        gallery=seen,
        streams=STREAMS,
        bands={stream: draw_bands(steps) for stream, steps in figures.funnel.items()},
        clusters=draw_clusters(chosen.sizes_before, chosen.sizes_after, chosen.cap),
        most_rejects={
            stream: max((n for step in steps for _, n in step.rejects), default=0)
            for stream, steps in figures.funnel.items()
        },
        best_similarity=max((text.similarity or 0 for pair in seen.pairs for text in pair.texts), default=0),
    )


@lru_cache
def _template() -> Template:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([folder, folder / "page"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({render.__name__: render for render in _FILTERS})
    return environment.get_template("report.html.j2")
