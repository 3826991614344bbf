"""Telling a webhook of runs that end and of runs that are late (decision 30). No task waits for it.

Airflow calls these where a run ends (the Dag processor) or a deadline passes (the triggerer). The address is that of
the Connection which `REALSYN_WEBHOOK_CONN_ID` names; without one nothing is called.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowNotFoundException

from realsyn_ops.settings import settings

log = logging.getLogger(__name__)

_WAITS_S = (1, 2, 4)
_TIMEOUT_S = 5


def tell_failed(context: Mapping[str, Any]) -> None:
    _tell(_of_run("failed", context))


def tell_succeeded(context: Mapping[str, Any]) -> None:
    _tell(_of_run("success", context))


async def tell_late(context: Mapping[str, Any]) -> None:
    """A run was not over in time. It goes on: nothing is stopped."""
    run = context["dag_run"]
    reason = f"not over {settings().deadline_minutes} minutes after it was queued"
    told = _told("late", run["dag_id"], run["dag_run_id"], run.get("partition_key"), "", -1, reason)
    try:
        connection = await Connection.async_get(settings().webhook_conn_id)
    except AirflowNotFoundException as error:
        _give_up(told, str(error))
    else:
        await asyncio.to_thread(_post, connection, told)


def alerts() -> dict[str, Any]:
    """What a Dag is given so that the webhook hears of its runs: nothing without a Connection."""
    if not settings().webhook_conn_id:
        return {}
    told: dict[str, Any] = {"on_failure_callback": tell_failed, "on_success_callback": tell_succeeded}
    if settings().deadline_minutes:
        told["deadline"] = DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(minutes=settings().deadline_minutes),
            callback=AsyncCallback(tell_late),
        )
    return told


ALERTS = alerts()


def _of_run(state: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Airflow names the task that decided a failed run; where it knows none, the run alone is told."""
    ti = context.get("ti") if state == "failed" else None
    day = getattr(context.get("dag_run"), "partition_key", None)
    task, map_index = (ti.task_id, ti.map_index) if ti else ("", -1)
    place = -1 if map_index is None else map_index
    return _told(state, context["dag"].dag_id, context["run_id"], day, task, place, context["reason"])


def _told(state: str, dag: str, run: str, day: str | None, task: str, map_index: int, reason: str) -> dict[str, Any]:
    page = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{dag}"
    links = {"run": f"{page}/runs/{run}"}
    if task:
        links["task"] = f"{links['run']}/tasks/{task}" + (f"/mapped/{map_index}" if map_index >= 0 else "")
    where = f", task {task}" if task else ""
    text = f"{dag} {day or run}: {state}{where}, {reason} {links.get('task', links['run'])}"
    return {"state": state, "dag": dag, "run": run, "day": day, "task": task, "reason": reason, "links": links,
            "text": text}  # fmt: skip


def _tell(told: Mapping[str, Any]) -> None:
    try:
        connection = Connection.get(settings().webhook_conn_id)
    except AirflowNotFoundException as error:
        _give_up(told, str(error))
    else:
        _post(connection, told)


def _post(connection: Connection, told: Mapping[str, Any]) -> None:
    """Tried again while nobody answers well."""
    import httpx

    problem = ""
    headers = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    for wait_s in (*_WAITS_S, 0):
        try:
            answer = httpx.post(_address(connection), json=told, headers=headers, timeout=_TIMEOUT_S)
            if answer.is_success:
                return
            problem = f"it answered {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
        time.sleep(wait_s)
    _give_up(told, problem)


def _give_up(told: Mapping[str, Any], problem: str) -> None:
    log.warning("the webhook %s was not told of %s: %s", settings().webhook_conn_id, told["text"], problem)


def _address(connection: Connection) -> str:
    """A host that is a whole address, or the parts that a Connection's URI is cut into."""
    host = connection.host or ""
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.conn_type}://{host}{port}/{connection.schema or ''}"
