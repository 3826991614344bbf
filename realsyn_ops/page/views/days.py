"""Days by stage: what is published, what runs, what is red, what is in quarantine, what was taken down."""

from typing import Any

from airflow.models import DagRun
from airflow.utils.session import create_session
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from realsyn_ops.io.quarantine import entries
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedowns import TAKEDOWNS, find_facts
from realsyn_ops.page.deployment import bucket
from realsyn_ops.page.rendering import page
from realsyn_ops.page.threads import read

router = APIRouter()
DAGS = ("ingest_documents", "curate_images", "cluster_sentences", "pair_texts")
MAX_DAYS = 120
_RUNS = {"running": "running", "queued": "running", "failed": "red"}


@router.get("/days")
async def days(request: Request) -> HTMLResponse:
    rows = await read(lambda: days_by_stage(bucket()))
    return page(request, "days", rows=rows[:MAX_DAYS], n_days=len(rows), dags=DAGS, most=MAX_DAYS)


def days_by_stage(store: Bucket) -> list[dict[str, Any]]:
    """The newest day first; of each Dag its state and the run that decides it, None where nothing is known."""
    states: dict[tuple[str, str], str] = {}
    for dag in DAGS:
        for item in store.list(f"corpus/plans/{dag}/"):
            day = item.key.rsplit("/", 1)[1].removesuffix(".json")
            if day != "last":
                states[dag, day] = "done"
    runs = last_runs()
    states |= {of: _RUNS[state] for of, (state, _) in runs.items() if state in _RUNS}
    for entry in entries(store):
        of = (entry["dag"], entry["day"])
        if of[0] in DAGS and states.get(of) != "running":
            states[of] = "quarantined"
    down = _taken_down(store)
    return [
        {"day": day, "taken_down": down.get(day, []),
         "cells": [(states.get((dag, day)), runs.get((dag, day), ("", ""))[1]) for dag in DAGS]}
        for day in sorted({day for _, day in states}, reverse=True)
    ]  # fmt: skip


def last_runs() -> dict[tuple[str, str], tuple[str, str]]:
    """State and id of each Dag's newest run of each partition."""
    runs = select(DagRun.dag_id, DagRun.partition_key, DagRun.state, DagRun.run_id).where(
        DagRun.dag_id.in_(DAGS), DagRun.partition_key.is_not(None)
    )
    with create_session() as session:
        rows = session.execute(runs.order_by(DagRun.id.desc()).limit(8 * len(DAGS) * MAX_DAYS)).all()
    return {(dag, day): (str(state), run) for dag, day, state, run in reversed(rows)}


def _taken_down(store: Bucket) -> dict[str, list[str]]:
    """Takedowns by the days whose tables they changed."""
    found: dict[str, list[str]] = {}
    for item in store.list(TAKEDOWNS):
        parts = item.key.split("/")
        if parts[-1] == "report.json":
            for day in (find_facts(store, parts[1], "report") or {}).get("days", ()):
                found.setdefault(day, []).append(parts[1])
    return found
