"""Takedowns: tombstones and proofs, dry runs, and the form that starts one. Only dry runs are started here: what
removes is started where its reason is asked for, in Airflow's own form or by `./realsyn takedown`.
"""

import logging
from typing import Annotated, Any, Literal

from airflow.api.common.trigger_dag import trigger_dag
from airflow.models import DagRun
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import select

from realsyn_ops.errors import BadPlanError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedowns import TOMBSTONES, find_facts
from realsyn_ops.page.access import TAKE_DOWN, TAKEDOWN, User, may_trigger
from realsyn_ops.page.deployment import bucket
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read
from realsyn_ops.report.wording import printable
from realsyn_ops.takedown.request import Request as Asked
from realsyn_ops.tombstones import Tombstone

log = logging.getLogger(__name__)
router = APIRouter()
KINDS = {
    "urls": "Address of a document or image", "domains": "Domain, with all below it", "documents": "Document (d...)",
    "images": "Image (i...)", "sentences": "Sentence (s...)", "phashes": "Perceptual hash", "patterns": "Pattern",
}  # fmt: skip
Kind = Annotated[Literal["urls", "domains", "documents", "images", "sentences", "phashes", "patterns"], Form()]
Value = Annotated[str, Form(min_length=1, max_length=2000)]
_SHOWN = 100


@router.get("/takedowns")
async def takedowns(request: Request, user: User, value: str = "") -> HTMLResponse:
    tombstones, reports = await read(lambda: taken_down(bucket()))
    may = await read(may_trigger, user, TAKEDOWN)
    runs = await read(dry_runs) if may else []
    return page(
        request, "takedowns", tombstones=tombstones, reports=reports, runs=runs, may=may, kinds=KINDS,
        value=value if len(value) <= 40 and value.isalnum() else "",
    )  # fmt: skip


@router.post("/takedowns", dependencies=TAKE_DOWN)
async def dry_run(request: Request, user: User, kind: Kind, value: Value) -> RedirectResponse:
    """Start `takedown` as a dry run. Addresses are handed on as keys: what is handed on stays in Airflow's database."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "this form is sent from its own page only")
    try:
        given: dict[str, Any] = {kind: (value,)}
        asked = Asked(**given)
    except BadPlanError as error:
        raise HTTPException(422, str(error)) from error
    conf = {kind: list(getattr(asked, kind)), "dry_run": True, "by": user.get_name()}
    run = await read(
        trigger_dag, dag_id=TAKEDOWN[0], conf=conf, triggered_by=DagRunTriggeredByType.UI,
        triggering_user_name=user.get_name(),
    )  # fmt: skip
    log.info("dry run %s of takedown %s started by %s", run.run_id if run else "", asked.id, user.get_name())
    return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}/takedowns", 303)


def taken_down(store: Bucket) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Tombstones, the newest first, and the proofs by takedown."""
    found = (Tombstone.from_json(store.get(item.key)) for item in store.list(TOMBSTONES))
    tombstones = sorted(found, key=lambda tombstone: tombstone.when, reverse=True)[:_SHOWN]
    told = [{"id": t.id, "when": t.when, "by": t.by, "why": t.why} for t in tombstones]
    reports = {t.id: find_facts(store, t.id, "report") for t in tombstones}
    return printable(told), printable({name: report for name, report in reports.items() if report})


def dry_runs() -> list[dict[str, str]]:
    """The newest runs of `takedown` that only looked; what they found is in the log of their task `find`."""
    runs = select(DagRun).where(DagRun.dag_id == TAKEDOWN[0]).order_by(DagRun.id.desc()).limit(_SHOWN)
    with create_session() as session:
        found = [(run.run_id, str(run.state), dict(run.conf or {})) for run in session.scalars(runs)]
    return printable(
        [{"run_id": run_id, "state": state, "asked": _asked(conf)} for run_id, state, conf in found
         if conf.get("dry_run", True)]
    )  # fmt: skip


def _asked(conf: dict[str, Any]) -> str:
    return ", ".join(f"{kind}: {', '.join(map(str, conf[kind]))}" for kind in KINDS if conf.get(kind))
