"""The funnel of a release beside the paper's, from its report."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from realsyn_ops.io import releases
from realsyn_ops.page.deployment import bucket
from realsyn_ops.page.forms import Version
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read
from realsyn_ops.report.drawings import draw_bands
from realsyn_ops.report.figures import Figures, read_figures

router = APIRouter()


@router.get("/")
async def funnel(request: Request, version: Version = "") -> HTMLResponse:
    figures, versions = await read(figures_of, version)
    bands = {stream: draw_bands(steps) for stream, steps in figures.funnel.items()}
    return page(request, "", figures=figures, bands=bands, versions=versions)


def figures_of(version: str) -> tuple[Figures, list[str]]:
    """A release's figures, of the one published last where none is named; empty ones where there is none."""
    store = bucket()
    versions = releases.versions(store)
    chosen = version or releases.newest(store)
    found = store.find(f"reports/{chosen}/report.json") if chosen in versions else None
    report: dict[str, Any] = json.loads(found) if found else {}
    return read_figures(report), versions
