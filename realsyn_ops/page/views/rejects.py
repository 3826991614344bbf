"""Rejects by reason, single ones with value and limit, and what other limits would do to a day.

What was refused for being personal, or by a policy, is counted for who may read and shown to who may operate.
"""

import json
from dataclasses import fields, replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse

from realsyn_ops.errors import BadPlanError
from realsyn_ops.io.recorded_plans import recorded_plan
from realsyn_ops.page.access import OPERATE, OPERATED, User, may_trigger
from realsyn_ops.page.deployment import corpus
from realsyn_ops.page.forms import Day
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read, read_heavy
from realsyn_ops.plans import Plan
from realsyn_ops.records import NOT_SHOWN, Reason
from realsyn_ops.report.rejects import STAGES, Count, count_rejects, list_rejects
from realsyn_ops.report.rejects import Query as Rejects
from realsyn_ops.report.render_rejects import has_picture, readable
from realsyn_ops.report.what_if import what_if
from realsyn_ops.thresholds import PLANS, limits_of

router = APIRouter()
_SHOWN = 24
Stage = Annotated[str, Query(pattern=f"^({'|'.join(STAGES)})?$")]
OneReason = Annotated[str, Query(pattern=f"^({'|'.join(sorted(Reason))})?$")]
Limit = Annotated[str, Query(pattern=r"^[a-z_]{1,40}$")]
Dag = Annotated[str, Query(pattern=f"^({'|'.join(OPERATED)})$")]
Value = Annotated[float, Query(ge=-1e9, le=1e9, allow_inf_nan=False)]


@router.get("/rejects")
async def rejects(
    request: Request, user: User, day: Day = "", stage: Stage = "", reason: OneReason = ""
) -> HTMLResponse:
    days = await read(_days)
    chosen = day or (days[-1] if days else "")
    try:
        query = Rejects(day=chosen, stage=stage, reason=reason)
    except BadPlanError as error:
        raise HTTPException(422, str(error)) from error
    is_operator = await read(may_trigger, user, OPERATED)
    counts, shown = await read_heavy(_found, query, is_operator)
    limits = await read(_limits, chosen) if is_operator and chosen else []
    return page(
        request, "rejects", days=days[::-1], day=chosen, stage=stage, reason=reason, counts=counts, shown=shown,
        limits=limits, is_hidden=bool(reason) and reason in NOT_SHOWN and not is_operator,
    )  # fmt: skip


@router.get("/what-if", dependencies=OPERATE)
async def what_if_limit(day: Day, dag: Dag, limit: Limit, value: Value) -> JSONResponse:
    """How many records of a day would change sides under another value of one limit."""
    return JSONResponse(await read_heavy(_what_if, day, dag, limit, value))


def _days() -> list[str]:
    stored = corpus().bucket.list("corpus/plans/ingest_documents/")
    names = (item.key.rsplit("/", 1)[1].removesuffix(".json") for item in stored)
    return sorted(name for name in names if name != "last")


def _found(query: Rejects, is_operator: bool) -> tuple[list[Count], list[dict[str, Any]]]:
    """Counts of all reasons; of the one asked for also the first rejects."""
    tables = corpus()
    counts = count_rejects(tables, replace(query, reason=""))
    if not query.reason or (query.reason in NOT_SHOWN and not is_operator):
        return counts, []
    asked = [replace(c, rejects={r: n for r, n in c.rejects.items() if r == query.reason}) for c in counts]
    found = list_rejects(tables, asked, query, limit=_SHOWN)
    return counts, [readable(row) | {"has_picture": has_picture(row)} for row in found]


def _limits(day: str) -> list[dict[str, Any]]:
    """The numbers among the limits that the day's plans had."""
    found = []
    for dag in OPERATED:
        plan = recorded_plan(corpus().bucket, dag, day) or {}
        for name in limits_of(dag):
            value = plan.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                step = 1 if isinstance(value, int) else 0.01
                most = max(2 * value, 10) if isinstance(value, int) or value > 1 else 1
                found.append({"dag": dag, "name": name, "value": value, "step": step, "most": most})
    return found


def _what_if(day: str, dag: str, limit: str, value: float) -> dict[str, Any]:
    plan = recorded_plan(corpus().bucket, dag, day)
    if plan is None or limit not in limits_of(dag) or isinstance(plan.get(limit), bool | str):
        raise HTTPException(404, "no plan of that day has this limit")
    before: Plan = PLANS[dag].from_json(json.dumps(plan))
    changed: dict[str, Any] = {limit: int(value) if isinstance(plan[limit], int) else value}
    try:
        after = replace(before, **changed)
    except BadPlanError as error:
        raise HTTPException(422, str(error)) from error
    found = what_if(corpus(), dag, before, after)
    return {field.name: getattr(found, field.name) for field in fields(found)}
