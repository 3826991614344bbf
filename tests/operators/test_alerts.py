"""The webhook: what it is told, over real HTTP, tried again, and never an error for who tells it."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.deadline import DeadlineReference

from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.operators import alerts
from realsyn_ops.settings import settings

RUN = "manual__1"


class Hook(ThreadingHTTPServer):
    """Keeps what is posted, and answers with the next of ``statuses``, 200 when they run out."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    server = Hook()
    monkeypatch.setenv("REALSYN_WEBHOOK_CONN_ID", "realsyn_webhook")
    monkeypatch.setenv("REALSYN_DEADLINE_MINUTES", "90")
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_WEBHOOK", f"http://:secret@127.0.0.1:{server.server_port}/T0/B1")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org")
    monkeypatch.setattr(alerts, "_WAITS_S", (0, 0))
    settings.cache_clear()
    yield server
    settings.cache_clear()
    server.shutdown()
    server.server_close()


def failed(map_index: int | None = -1) -> dict[str, Any]:
    """The context that Airflow gives where a run fails: its Dag, run, and the task that decided it."""
    return {
        "dag": SimpleNamespace(dag_id="ingest_documents"),
        "dag_run": SimpleNamespace(partition_key="2026-11-10"),
        "run_id": RUN,
        "ti": SimpleNamespace(task_id="extract", map_index=map_index),
        "reason": "task_failure",
    }


def test_a_failed_run_is_told_with_its_day_its_task_and_links(hook: Hook) -> None:
    alerts.tell_failed(failed(map_index=3))
    [(path, key, told)] = hook.asked
    assert (path, key) == ("/T0/B1", "Bearer secret")
    run = f"https://airflow.example.org/dags/ingest_documents/runs/{RUN}"
    assert told.pop("text") == (
        f"ingest_documents 2026-11-10: failed, task extract, task_failure {run}/tasks/extract/mapped/3"
    )
    assert told == {
        "state": "failed", "dag": "ingest_documents", "run": RUN, "day": "2026-11-10", "task": "extract",
        "reason": "task_failure", "links": {"run": run, "task": f"{run}/tasks/extract/mapped/3"},
    }  # fmt: skip


def test_where_airflow_knows_no_task_the_run_is_told(hook: Hook) -> None:
    alerts.tell_failed({name: value for name, value in failed().items() if name in {"dag", "run_id", "reason"}})
    [(_, _, told)] = hook.asked
    assert (told["task"], told["day"], set(told["links"])) == ("", None, {"run"})


def test_a_run_that_succeeds_names_no_task(hook: Hook) -> None:
    alerts.tell_succeeded(failed())
    [(_, _, told)] = hook.asked
    assert (told["state"], told["task"], told["day"]) == ("success", "", "2026-11-10")


def test_a_late_run_is_told_from_what_the_triggerer_is_given(hook: Hook) -> None:
    run = {"dag_id": "pair_texts", "dag_run_id": RUN, "partition_key": "2026-11-10"}
    asyncio.run(alerts.tell_late({"dag_run": run, "deadline": {}}))
    [(_, _, told)] = hook.asked
    assert (told["state"], told["dag"], told["reason"]) == (
        "late", "pair_texts", "not over 90 minutes after it was queued",
    )  # fmt: skip


def test_a_webhook_that_stumbles_is_asked_again(hook: Hook) -> None:
    hook.statuses = [503, 429]
    alerts.tell_failed(failed())
    assert len(hook.asked) == 3


@pytest.mark.parametrize(("status", "n_tries"), [(404, 1), (500, 3)])
def test_what_cannot_be_told_is_one_warning(
    hook: Hook, caplog: pytest.LogCaptureFixture, status: int, n_tries: int
) -> None:
    hook.statuses = [status] * 9
    alerts.tell_failed(failed())
    assert len(hook.asked) == n_tries
    [record] = [r for r in caplog.records if r.name == alerts.log.name]
    assert record.levelno == logging.WARNING
    assert f"it answered {status}" in record.getMessage()


def test_a_webhook_that_is_gone_is_a_warning_too(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    [port] = free_ports(1)
    address = json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{port}/T0"})
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_WEBHOOK", address)
    alerts.tell_failed(failed())
    assert "was not told of ingest_documents 2026-11-10: failed" in caplog.text


def test_a_connection_that_is_missing_raises_nothing(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_REALSYN_WEBHOOK")
    alerts.tell_failed(failed())
    assert "realsyn_webhook" in caplog.text


def test_a_dag_gets_callbacks_and_a_deadline_with_a_webhook_and_nothing_without(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = alerts.alerts()
    assert given["on_failure_callback"] is alerts.tell_failed
    assert given["on_success_callback"] is alerts.tell_succeeded
    assert given["deadline"].interval == timedelta(minutes=90)
    assert given["deadline"].reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert given["deadline"].callback.path == "realsyn_ops.operators.alerts.tell_late"
    monkeypatch.delenv("REALSYN_WEBHOOK_CONN_ID")
    settings.cache_clear()
    assert alerts.alerts() == {}


@pytest.mark.parametrize("path", sorted((PROJECT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_every_dag_has_them(path: Any) -> None:
    assert "    **ALERTS,\n" in path.read_text()
