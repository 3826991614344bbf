"""The tab on a Dag Run's page: what is known of the run's day, or of its release."""

from typing import Annotated

from airflow.models import DagRun
from airflow.utils.session import create_session
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from realsyn_ops.page.threads import read
from realsyn_ops.thresholds import RELEASE

router = APIRouter()
Name = Annotated[str, Query(max_length=250)]


@router.get("/runs")
async def of_run(request: Request, dag: Name, run: Name) -> RedirectResponse:
    """To the rejects of a run's day, the takedowns, the funnel of what it released; else to all days."""
    root = request.scope.get("root_path", "").rstrip("/")
    if dag == RELEASE:
        return RedirectResponse(f"{root}/", 303)
    if dag == "takedown":
        return RedirectResponse(f"{root}/takedowns", 303)
    day = await read(_day_of, dag, run)
    return RedirectResponse(f"{root}/rejects?day={day}" if day else f"{root}/days", 303)


def _day_of(dag: str, run: str) -> str:
    """The run's partition where it is a day."""
    with create_session() as session:
        found = session.scalar(select(DagRun.partition_key).where(DagRun.dag_id == dag, DagRun.run_id == run)) or ""
    return found if len(found) == 10 and found.replace("-", "").isdecimal() else ""
