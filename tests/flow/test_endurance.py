"""Endurance: what a finished demo leaves, and a second one over it; nothing left running after Ctrl-C.

A demo whose tasks are killed on the way, and whose release is the same, is in test_celery.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from realsyn_ops.cli.services import PROJECT, Stack
from tests.flow.harness import DOCUMENTS, demo_home, release_files, run_command

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]


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


def test_a_second_demo_from_the_same_documents_finds_everything_done(calm: Path) -> None:
    assert Stack(calm).status() == {"seaweedfs": "stopped", "airflow": "stopped"}
    files = release_files(calm)
    assert len(files) >= 4
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
