"""Airflow's REST API as the command line uses it: trigger a Dag, see its runs, tasks and logs."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from realsyn_ops.errors import ServiceError

_TRIES = 5


@dataclass(frozen=True)
class TaskState:
    """One task of a run; mapped copies are separate, told apart by ``map_index`` (-1 for an unmapped task)."""

    task: str
    map_index: int
    state: str | None
    try_number: int
    ended: str | None = None


@dataclass(frozen=True)
class Run:
    dag: str
    run_id: str
    partition_key: str | None
    state: str
    queued: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state in {"success", "failed"}


class _ConflictError(ServiceError):
    """Airflow has what it was asked to make."""


class AirflowApi:
    """A client that signs in, or was given a token. Raises ServiceError with Airflow's own words."""

    def __init__(self, url: str, user: str = "", password: str = "", *, token: str = "") -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=bool(token))
        self._credentials = {"username": user, "password": password}
        if token:
            self._client.headers["Authorization"] = f"Bearer {token}"
        else:
            self._sign_in()

    def trigger(self, dag: str, *, partition_key: str | None, conf: dict[str, Any] | None = None) -> Run:
        """Start one run. Its id is ours, so that asking again after a failure of Airflow cannot start a second one."""
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}, "dag_run_id": run_id}
        if partition_key is not None:
            body["partition_key"] = partition_key
        try:
            return _run(self._call("POST", f"/api/v2/dags/{dag}/dagRuns", json=body))
        except _ConflictError:
            return _run(self._call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}"))

    def params(self, dag: str) -> set[str]:
        """Names of the params in a Dag's form. Raises ServiceError for a paused Dag: its runs would never start."""
        details = self._call("GET", f"/api/v2/dags/{dag}/details")
        if details["is_paused"]:
            raise ServiceError(f"{dag} is paused: switch it on in Airflow first")
        return set(details["params"] or {})

    def pause(self, dag: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag}", json={"is_paused": True})

    def resume(self, dag: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag}", json={"is_paused": False})

    def wait_for_dags(self, dags: list[str], *, timeout_s: float = 180) -> None:
        """Wait until Airflow has parsed the Dags; raises ServiceError with the import errors when it cannot."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for file, last in self.import_errors().items():
                raise ServiceError(f"Airflow cannot import {file}: {last}")
            known = {dag["dag_id"] for dag in self._call("GET", "/api/v2/dags")["dags"]}
            if known >= set(dags):
                return
            time.sleep(1)
        raise ServiceError(f"Airflow did not find the Dags {', '.join(dags)} within {timeout_s:.0f} s")

    def import_errors(self) -> dict[str, str]:
        """Dag files that Airflow cannot import, each with the last line of its traceback."""
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"].strip().splitlines()[-1] for error in errors}

    def health(self) -> dict[str, str]:
        """The state of each component: `healthy` when it is."""
        parts = self._call("GET", "/api/v2/monitor/health")
        return {name: part.get("status") or "not running" for name, part in parts.items() if part}

    def paused(self) -> list[str]:
        dags = self._call("GET", "/api/v2/dags", params={"paused": True, "limit": 100})["dags"]
        return sorted(dag["dag_id"] for dag in dags)

    def pools(self) -> list[tuple[str, int, int, int]]:
        """Name, slots, free slots and waiting tasks of each pool."""
        pools = self._call("GET", "/api/v2/pools", params={"limit": 100})["pools"]
        return [(p["name"], p["slots"], p["open_slots"], p["queued_slots"]) for p in pools]

    def runs(self, dag: str) -> list[Run]:
        """The Dag's newest runs, newest first."""
        query = {"limit": 50, "order_by": "-id"}
        return [_run(r) for r in self._call("GET", f"/api/v2/dags/{dag}/dagRuns", params=query)["dag_runs"]]

    def tasks(self, run: Run) -> list[TaskState]:
        answer = self._call("GET", f"/api/v2/dags/{run.dag}/dagRuns/{run.run_id}/taskInstances", params={"limit": 500})
        return [
            TaskState(t["task_id"], t["map_index"], t["state"], t["try_number"], t.get("end_date"))
            for t in answer["task_instances"]
        ]

    def log_end(self, run: Run, task: TaskState, *, n_lines: int = 8) -> str:
        """Last lines of a task's log, or why there is none."""
        path = f"/api/v2/dags/{run.dag}/dagRuns/{run.run_id}/taskInstances/{task.task}/logs/{max(1, task.try_number)}"
        try:
            content = self._call("GET", path, params={"map_index": task.map_index})["content"]
        except ServiceError as error:
            return str(error)
        lines = [_log_line(entry) for entry in content]
        return "\n".join([line for line in lines if line][-n_lines:])

    def clear(self, run: Run) -> None:
        """Clear all tasks of a run: it runs again with its key."""
        self._call("POST", f"/api/v2/dags/{run.dag}/dagRuns/{run.run_id}/clear", json={"dry_run": False})

    def _sign_in(self) -> None:
        answer = self._send("POST", "/auth/token", json=self._credentials)
        if answer.status_code not in {200, 201}:
            raise ServiceError(f"Airflow refused the sign-in: {answer.status_code} {answer.text[:200]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._send(method, path, **arguments)
        if answer.status_code == 401 and self._credentials["username"]:
            self._sign_in()
            answer = self._send(method, path, **arguments)
        if answer.status_code >= 400:
            error = _ConflictError if answer.status_code == 409 else ServiceError
            raise error(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer.json()

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request, tried again when Airflow fails (SQLite may be locked), a GET also when it is slow."""
        for left in reversed(range(_TRIES)):
            try:
                answer = self._client.request(method, path, **arguments)
            except httpx.HTTPError as error:
                if not left or method != "GET":
                    raise ServiceError(
                        f"Airflow did not answer {method} {path}: {error or type(error).__name__}"
                    ) from error
            else:
                if answer.status_code < 500 or not left:
                    return answer
            time.sleep(1)
        raise AssertionError


def _run(values: dict[str, Any]) -> Run:
    return Run(values["dag_id"], values["dag_run_id"], values.get("partition_key"), values["state"],
               values.get("queued_at"))  # fmt: skip


def _log_line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    text = " ".join(str(entry[part]) for part in ("event", "reason") if entry.get(part))
    for problem in entry.get("error_detail") or ():
        text += f" {problem.get('exc_type')}: {problem.get('exc_value')}"
    return text
