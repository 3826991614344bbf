"""The client of Airflow's REST API when Airflow fails: asked again, and one run stays one run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from realsyn_ops.cli import airflow_api
from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.errors import ServiceError


@contextmanager
def airflow_that_fails(n_failures: int, *, after_its_work: bool) -> Iterator[tuple[AirflowApi, dict[str, Any]]]:
    """A server that answers 500 to the first requests for a run, before or after it made the run."""
    runs: dict[str, Any] = {}
    left = [n_failures]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fails, left[0] = left[0] > 0, left[0] - 1
            run = {"dag_id": "d", "dag_run_id": body["dag_run_id"], "state": "queued", "partition_key": "2025-02-19"}
            if body["dag_run_id"] in runs:
                self.answer(409, {"detail": "a run with this id exists"})
            elif fails and not after_its_work:
                self.answer(500, {"detail": {"reason": "Database error"}})
            else:
                runs[body["dag_run_id"]] = run
                self.answer(500 if fails else 200, run)

        def do_GET(self) -> None:
            self.answer(200, runs[self.path.rsplit("/", 1)[1]])

        def answer(self, status: int, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_port}", token="any"), runs
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("after_its_work", [False, True])
def test_a_run_is_started_once_though_airflow_fails_at_first(after_its_work: bool) -> None:
    with airflow_that_fails(2, after_its_work=after_its_work) as (api, runs):
        run = api.trigger("d", partition_key="2025-02-19")
        assert list(runs) == [run.run_id]
        assert run.partition_key == "2025-02-19"


def test_an_airflow_that_keeps_failing_is_named_in_its_own_words() -> None:
    with airflow_that_fails(100, after_its_work=False) as (api, runs):
        with pytest.raises(ServiceError, match=r"answered 500 to POST .*Database error"):
            api.trigger("d", partition_key=None)
        assert not runs
