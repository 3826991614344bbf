"""Endurance: the same bytes from empty twice, with a task killed on the way; nothing left running after Ctrl-C."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from realsyn_ops.cli.services import PROJECT, Stack
from tests.flow.harness import DOCUMENTS, demo_home, run_command

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

LOADED_MODEL_BYTES = 1_300 * 2**20
TASK_TITLE = "airflow worker -- "


def release_files(folder: Path) -> dict[str, str]:
    """sha256 of every file of the one release under a home folder."""
    (version,) = [path for path in (folder / "releases").iterdir() if path.is_dir()]
    files = sorted(path for path in version.rglob("*") if path.is_file())
    return {f"{version.name}/{p.relative_to(version)}": hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def start_demo(folder: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "REALSYN_HOME": str(folder), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "realsyn_ops.cli", "demo", "--documents", str(DOCUMENTS)]
    return subprocess.Popen(
        command,
        env=env,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def members(stack: Stack) -> list[psutil.Process]:
    """Every process in the sessions of the stack's services."""
    sessions = {stack.seaweed.pid(), stack.airflow.pid()} - {None}
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions:
                found.append(process)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_a_task_with_a_model(stack: Stack, *, timeout_s: float) -> psutil.Process:
    """SIGKILL to the first task process that has loaded a model."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for process in members(stack):
            try:
                is_task = " ".join(process.cmdline()).startswith(TASK_TITLE) and not process.children()
                if is_task and process.memory_info().rss > LOADED_MODEL_BYTES:
                    process.send_signal(signal.SIGKILL)
                    return process
            except psutil.Error:
                continue
        time.sleep(0.2)
    raise TimeoutError("no task process loaded a model")


def test_two_demos_from_empty_make_the_same_release_even_when_a_task_is_killed(tmp_path: Path) -> None:
    calm = demo_home(tmp_path / "calm")
    done = run_command(calm, "demo", "--documents", str(DOCUMENTS))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert Stack(calm).status() == {"seaweedfs": "stopped", "airflow": "stopped"}
    rough = demo_home(tmp_path / "rough")
    running = start_demo(rough)
    killed = kill_a_task_with_a_model(Stack(rough), timeout_s=600)
    deadline = time.monotonic() + 60
    while is_alive(killed) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(killed)
    assert running.wait(timeout=1500) == 0
    files = release_files(calm)
    assert len(files) >= 4
    assert release_files(rough) == files
    again = run_command(calm, "demo", "--documents", str(DOCUMENTS))
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]
    assert "nothing new" in again.stdout
    assert release_files(calm) == files


def test_ctrl_c_stops_every_process_that_was_started(tmp_path: Path) -> None:
    folder = demo_home(tmp_path / "home")
    running = start_demo(folder)
    stack = Stack(folder)
    deadline = time.monotonic() + 300
    while stack.status()["airflow"] != "running" and time.monotonic() < deadline:
        time.sleep(1)
    started = members(stack)
    assert len(started) > 4
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=300) == 130
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []
    assert stack.status() == {"seaweedfs": "stopped", "airflow": "stopped"}
