"""An HTTP server that answers like Airflow's REST API as far as the command line asks, and keeps what was asked.

Every run is over at once. ``follower_at`` is when the run of `pair_texts` was queued that events have started, if any.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import settings

PUBLISHED_AT = "2026-01-01T12:00:00.500000Z"


class RecordingAirflow:
    def __init__(self, params: dict[str, list[str]], *, follower_at: str | None = None) -> None:
        self.params = params
        self.paused: set[str] = set()
        self.triggered: list[tuple[str, dict[str, Any]]] = []
        self.tokens: set[str | None] = set()
        self.follower_at = follower_at
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(outer.get(self.path.split("?")[0].split("/")[4:]))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(outer.trigger(self.path.split("/")[4], body))

            def _answer(self, value: dict[str, Any]) -> None:
                outer.tokens.add(self.headers["Authorization"])
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trigger(self, dag: str, body: dict[str, Any]) -> dict[str, Any]:
        self.triggered.append((dag, body))
        return self._run(dag, len(self.triggered), body.get("partition_key"))

    def get(self, path: list[str]) -> dict[str, Any]:
        match path:
            case [dag, "details"]:
                return {"params": dict.fromkeys(self.params[dag]), "is_paused": dag in self.paused}
            case [dag, "dagRuns"]:
                runs = [
                    self._run(d, i, b.get("partition_key")) for i, (d, b) in enumerate(self.triggered, 1) if d == dag
                ]
                days = [body["partition_key"] for _, body in self.triggered if "partition_key" in body]
                if dag == "pair_texts" and self.follower_at and days:
                    runs.append(self._run(dag, 0, days[0]) | {"queued_at": self.follower_at})
                return {"dag_runs": runs}
            case [_, "dagRuns", _, "taskInstances"]:
                task = {"task_id": "publish", "map_index": -1, "state": "success", "try_number": 1}
                return {"task_instances": [task | {"end_date": PUBLISHED_AT}]}
        raise AssertionError(path)

    def _run(self, dag: str, number: int, day: str | None) -> dict[str, Any]:
        values = {"dag_id": dag, "dag_run_id": f"run-{number}", "partition_key": day, "state": "success"}
        return values | {"queued_at": "2026-01-01T11:00:00Z"}


@contextmanager
def deployed(server: RecordingAirflow, bucket: Bucket, patch: pytest.MonkeyPatch) -> Iterator[RecordingAirflow]:
    """An Airflow and a bucket that the environment names, as a deployment does."""
    connection = {
        "conn_type": "aws", "login": bucket.access_key, "password": bucket.secret_key,
        "extra": {"endpoint_url": bucket.endpoint_url},
    }  # fmt: skip
    patch.setenv("AIRFLOW_CONN_REALSYN_S3", json.dumps(connection))
    patch.setenv("REALSYN_BUCKET", bucket.name)
    patch.setenv("REALSYN_AIRFLOW_URL", server.url)
    patch.setenv("REALSYN_AIRFLOW_TOKEN", "secret")
    settings.cache_clear()
    yield server
    server.close()
    settings.cache_clear()
