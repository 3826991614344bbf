"""The doctor: each check against a real server that is well, and against one that has the fault."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from realsyn_ops.cli import checks
from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.checks import Finding
from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedown_lock import hold
from realsyn_ops.presets import PRESETS

HEALTHY = {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")}
POOL = {"name": "default_pool", "slots": 128, "open_slots": 128, "queued_slots": 0}
WELL: dict[str, Any] = {
    "/api/v2/monitor/health": HEALTHY,
    "/api/v2/importErrors": {"import_errors": []},
    "/api/v2/dags": {"dags": []},
    "/api/v2/pools": {"pools": [POOL]},
    "/v1/models": {"data": [{"id": "small"}]},
}


class Server(ThreadingHTTPServer):
    """Answers a GET with the JSON of its path, 404 without one; otherwise it is an S3 store that knows no conditions
    and whose clock is ``ahead_s`` off."""

    daemon_threads = True

    def __init__(self, *, ahead_s: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers = dict(WELL)
        self.objects: dict[str, bytes] = {}
        self.ahead_s = ahead_s
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path in self.server.answers:
            return self._send(200, json.dumps(self.server.answers[path]).encode())
        if "list-type" in query:
            [key] = self.server.objects
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + self.server.ahead_s))
            name = key.removeprefix("/some/")
            item = f'<Key>{name}</Key><LastModified>{when}</LastModified><ETag>"1"</ETag><Size>1</Size>'
            return self._send(200, f"<ListBucketResult><Contents>{item}</Contents></ListBucketResult>".encode())
        return self._send(200, self.server.objects[path]) if path in self.server.objects else self._send(404, b"")

    def do_HEAD(self) -> None:
        self._send(404, b"")

    def do_PUT(self) -> None:
        self.server.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(200, b"")

    def do_DELETE(self) -> None:
        self.server.objects.pop(self.path)
        self._send(204, b"")

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def test_a_good_store_is_ok_in_every_line_and_nothing_of_it_is_left(bucket: Bucket) -> None:
    assert levels(checks.check_bucket(bucket)) == dict.fromkeys(("bucket", "conditional writes", "clock"), "ok")
    assert list(bucket.list("")) == []


def test_a_takedown_under_way_is_a_warning(bucket: Bucket) -> None:
    hold(bucket, "t1")
    [finding] = [f for f in checks.check_bucket(bucket) if f.what == "takedown"]
    assert finding.level == "warn"
    assert "t1" in finding.seen


@pytest.mark.parametrize(("ahead_s", "level"), [(0, "ok"), (60, "warn"), (-60, "warn"), (900, "bad")])
def test_a_store_without_conditional_writes_is_bad_and_its_clock_is_read(
    serve: Callable[..., Server], ahead_s: float, level: str
) -> None:
    store = serve(ahead_s=ahead_s)
    found = levels(checks.check_bucket(Bucket("some", store.url, "a", "b")))
    assert found == {"bucket": "ok", "conditional writes": "bad", "clock": level}
    assert store.objects == {}


def test_a_store_that_does_not_answer_is_one_bad_line() -> None:
    [port] = free_ports(1)
    [finding] = checks.check_bucket(Bucket("some", f"http://127.0.0.1:{port}", "a", "b"))
    assert (finding.what, finding.level) == ("bucket", "bad")
    assert str(port) in finding.seen


def test_room_for_volumes_is_told(store: Stack) -> None:
    [finding] = checks.check_volumes(store)
    assert finding.level == "ok"
    assert "10000 volumes" in finding.seen


def test_an_airflow_that_is_well(serve: Callable[..., Server]) -> None:
    found = list(checks.check_airflow(AirflowApi(serve().url, token="t")))
    assert {finding.level for finding in found} == {"ok"}
    assert {*HEALTHY, "Dags", "pool default_pool"} == {finding.what for finding in found}


def test_each_fault_of_airflow_has_its_line(serve: Callable[..., Server]) -> None:
    server = serve()
    server.answers |= {
        "/api/v2/monitor/health": HEALTHY | {"scheduler": {"status": "unhealthy"}},
        "/api/v2/importErrors": {"import_errors": [{"filename": "pair_texts.py", "stack_trace": "a\nKeyError: 'x'\n"}]},
        "/api/v2/dags": {"dags": [{"dag_id": "curate_images"}]},
        "/api/v2/pools": {"pools": [POOL | {"open_slots": 0, "queued_slots": 3}]},
    }
    found = {finding.what: finding for finding in checks.check_airflow(AirflowApi(server.url, token="t"))}
    assert {what: finding.level for what, finding in found.items() if finding.level != "ok"} == {
        "scheduler": "bad", "Dag file pair_texts.py": "bad", "Dags": "warn", "pool default_pool": "warn",
    }  # fmt: skip
    assert found["Dag file pair_texts.py"].seen == "KeyError: 'x'"
    assert "curate_images" in found["Dags"].seen
    assert all(finding.do for finding in found.values() if finding.level != "ok")


@pytest.mark.parametrize(("model", "level"), [("small", "ok"), ("large", "bad")])
def test_an_endpoint_must_serve_the_model(serve: Callable[..., Server], model: str, level: str) -> None:
    [finding] = checks.check_served("rewriter", f"{serve().url}/v1#{model}")
    assert finding.level == level
    assert "small" in finding.seen


def test_an_endpoint_that_is_down_is_bad() -> None:
    [port] = free_ports(1)
    [finding] = checks.check_served("rewriter", f"http://127.0.0.1:{port}/v1#small")
    assert (finding.what, finding.level) == (f"rewriter http://127.0.0.1:{port}/v1", "bad")


def test_models_are_loaded_by_name(tmp_path: Path) -> None:
    good = checks.check_model("parser", "demo", PRESETS["demo"], None, tmp_path)
    assert (good.level, good.what) == ("ok", "parser demo")
    bad = checks.check_model("parser", "spacy:/nowhere", PRESETS["demo"], None, tmp_path)
    assert bad.level == "bad"
    assert "/nowhere" in bad.seen


def run_doctor(home: Path, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
    env = {**os.environ, "REALSYN_HOME": str(home), "PYTHONPATH": str(PROJECT), **variables}
    command = [sys.executable, "-m", "realsyn_ops.cli", "doctor", "--quick", "--json"]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, {one["what"]: one for one in json.loads(done.stdout)}


def test_with_airflow_and_ray_down_the_rest_is_looked_at(store: Stack) -> None:
    [port] = free_ports(1)
    code, found = run_doctor(store.home, REALSYN_RAY_ADDRESS=f"ray://127.0.0.1:{port}")
    assert code == 1
    assert {found[what]["level"] for what in ("settings", "bucket", "conditional writes", "clock", "volumes")} == {"ok"}
    assert {what for what, one in found.items() if one["level"] == "bad"} == {"ray"}
    assert (found["airflow"]["level"], "./realsyn up" in found["airflow"]["seen"]) == ("warn", True)
    assert store.seaweed.pid() is not None, "the doctor stopped what it did not start"


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    code, found = run_doctor(tmp_path, REALSYN_THREADS="many")
    assert code == 1
    assert (found["REALSYN_THREADS"]["level"], "many" in found["REALSYN_THREADS"]["seen"]) == ("bad", True)
