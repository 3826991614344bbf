"""The stylesheet, which is the reports' and a little more, and the script. They are two files and no folder."""

from functools import lru_cache

from fastapi import APIRouter
from fastapi.responses import Response

from realsyn_ops.page.rendering import FOLDER

router = APIRouter()
_KEPT = {"Cache-Control": "private, max-age=300"}


@router.get("/page.css")
async def style() -> Response:
    return Response(_style(), media_type="text/css", headers=_KEPT)


@router.get("/page.js")
async def script() -> Response:
    return Response((FOLDER / "static" / "page.js").read_text(), media_type="text/javascript", headers=_KEPT)


@lru_cache
def _style() -> str:
    """The reports' colours follow the system; those of the page follow Airflow's theme, which may be another."""
    reports = (FOLDER.parent / "report" / "page" / "report.css").read_text()
    return reports + (FOLDER / "static" / "page.css").read_text()
