"""Clusters of images before and after balance, of a release."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from realsyn_ops.page.forms import Version
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read
from realsyn_ops.page.views.funnel import figures_of
from realsyn_ops.report.drawings import draw_clusters

router = APIRouter()


@router.get("/balance")
async def balance(request: Request, version: Version = "") -> HTMLResponse:
    figures, versions = await read(figures_of, version)
    chosen = figures.selection
    clusters = draw_clusters(chosen.sizes_before, chosen.sizes_after, chosen.cap)
    return page(request, "balance", figures=figures, clusters=clusters, versions=versions)
