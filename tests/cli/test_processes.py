"""Child processes of the embedded default: found again, never mistaken for another, and stopped with all their kin."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from realsyn_ops.cli.processes import Service, free_ports, port_is_free
from realsyn_ops.cli.services import Endpoints, Stack
from realsyn_ops.errors import ServiceError

TREE = """
import os, signal, subprocess, sys, time

def child(code, **options):
    return subprocess.Popen([sys.executable, "-c", code], **options).pid

SLEEP = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
PASS_ON = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stdout=2).pid)"
orphan = int(subprocess.check_output([sys.executable, "-c", PASS_ON]))
pids = [os.getpid(), child(SLEEP), child(DEAF), child(SLEEP, start_new_session=True), orphan]
print("pids", *pids, flush=True)
time.sleep(600)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service("tree", tmp_path / "run")
    yield service
    service.stop(first_signal=signal.SIGKILL)


def start(service: Service, code: str) -> None:
    service.start([sys.executable, "-c", code], env=os.environ, cwd=service.record_path.parents[1])


def start_tree(service: Service) -> list[int]:
    """A process with three children and an orphaned grandchild; one is deaf to SIGINT, one in a session of its own."""
    start(service, TREE)
    service.wait(lambda: {"deaf", "pids"} <= set(service.log_path.read_text().split()), timeout_s=20)
    line = next(line for line in service.log_path.read_text().splitlines() if line.startswith("pids"))
    return [int(pid) for pid in line.split()[1:]]


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def test_stopping_ends_every_process_of_the_group(service: Service) -> None:
    pids = start_tree(service)
    assert alive(pids) == pids
    assert service.pid() == pids[0]
    service.stop(grace_s=1)
    assert alive(pids) == []
    assert service.pid() is None
    assert not service.record_path.exists()


def test_a_process_that_ends_by_itself_is_not_killed(service: Service) -> None:
    start(service, "import signal, sys, time\n"
          "signal.signal(signal.SIGINT, lambda *_: sys.exit(print('said goodbye', flush=True)))\n"
          "print('ready', flush=True); time.sleep(600)")  # fmt: skip
    service.wait(lambda: "ready" in service.log_end(), timeout_s=20)
    service.stop(grace_s=10)
    assert service.log_end().endswith("said goodbye")


def test_a_service_is_found_again_by_its_record(service: Service) -> None:
    (pid, *_) = start_tree(service)
    again = Service("tree", service.record_path.parent)
    assert again.pid() == pid
    again.stop(grace_s=1)
    assert service.pid() is None


@pytest.mark.parametrize(
    "record",
    ["", "{", "{}", '{"pid": 999999999, "started": 0}'],
    ids=["empty", "broken", "nothing", "nobody"],
)
def test_a_record_of_nobody_is_no_process(tmp_path: Path, record: str) -> None:
    service = Service("x", tmp_path)
    service.record_path.write_text(record)
    assert service.pid() is None
    service.stop()
    assert not service.record_path.exists()


def test_a_recycled_pid_is_not_taken_for_ours(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        service = Service("x", tmp_path)
        started = psutil.Process(stranger.pid).create_time()
        service.record_path.write_text(json.dumps({"pid": stranger.pid, "started": started}))
        assert service.pid() == stranger.pid
        service.record_path.write_text(json.dumps({"pid": stranger.pid, "started": started - 60}))
        assert service.pid() is None
        service.stop()
        assert alive([stranger.pid]) == [stranger.pid]
    finally:
        stranger.kill()
        stranger.wait()


def test_stopping_twice_or_before_a_start_is_harmless(service: Service) -> None:
    service.stop()
    start(service, "pass")
    service.stop()
    service.stop()
    assert service.pid() is None


def test_waiting_for_a_process_that_ended_quotes_its_log(service: Service) -> None:
    start(service, "print('one'); print('two'); print('no such disk'); raise SystemExit(3)")
    with pytest.raises(ServiceError, match="tree ended while starting: one / two / no such disk") as raised:
        service.wait(lambda: False, timeout_s=20)
    assert str(service.log_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_waiting_too_long_says_how_long(service: Service) -> None:
    start(service, "import time; time.sleep(600)")
    before = time.monotonic()
    with pytest.raises(ServiceError, match="tree was not ready after 1 s: no output"):
        service.wait(lambda: False, timeout_s=1)
    assert time.monotonic() - before < 3


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert all(port_is_free(port) for port in ports)


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)


def test_endpoints_are_drawn_once_and_kept_to_oneself(tmp_path: Path) -> None:
    drawn = Endpoints.load(tmp_path / "a")
    assert Endpoints.load(tmp_path / "a") == drawn
    ports = [value for name, value in asdict(drawn).items() if name.endswith("_port")]
    assert len(set(ports)) == len(ports) == 12
    assert stat.S_IMODE((tmp_path / "a" / "endpoints.json").stat().st_mode) == 0o600
    other = Endpoints.load(tmp_path / "b")
    assert other.secret_key != drawn.secret_key
    assert other.admin_password != drawn.admin_password


@pytest.mark.parametrize("name", ["s3_port", "master_port", "volume_port", "filer_port"])
def test_a_taken_port_is_one_clear_line_and_starts_nothing(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        endpoints = {**asdict(Endpoints.load(tmp_path)), name: port}
        (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
        stack = Stack(tmp_path)
        with pytest.raises(ServiceError) as raised:
            stack.up()
    assert f"port {port} ({name}) is taken by another program" in str(raised.value)
    assert str(tmp_path / "endpoints.json") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert stack.status() == {"seaweedfs": "stopped", "airflow": "stopped"}
    assert not stack.seaweed.log_path.exists()


def test_each_bucket_has_an_airflow_home_of_its_own(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    first = stack.airflow_home
    stack.use_bucket("realsyn-other")
    assert stack.airflow_home != first
    assert stack.airflow_env()["AIRFLOW_HOME"] == str(stack.airflow_home)
    stack.use_bucket("realsyn")
    assert stack.airflow_home == first
