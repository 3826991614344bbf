"""Starting, finding and stopping the long-lived processes of the embedded default.

A process is started in a session of its own and stopped as a group, so no child outlives it. Who it is (pid and start
time) is kept in a file: a recycled pid is never taken for ours.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from realsyn_ops.errors import ServiceError


def free_ports(count: int) -> list[int]:
    """Distinct free loopback ports, all held until all are found, so no two are the same."""
    sockets = []
    try:
        for _ in range(count):
            held = socket.socket()
            held.bind(("127.0.0.1", 0))
            sockets.append(held)
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Service:
    """One child process group, its record in ``<folder>/<name>.json`` and its log in ``<folder>/<name>.log``."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.record_path = folder / f"{name}.json"
        self.log_path = folder / f"{name}.log"

    def start(self, command: list[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self.record_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = psutil.Process(process.pid).create_time()
        self.record_path.write_text(json.dumps({"pid": process.pid, "started": started}))

    def pid(self) -> int | None:
        """The running process's id, None when it does not run."""
        try:
            record = json.loads(self.record_path.read_text())
            process = psutil.Process(record["pid"])
            if abs(process.create_time() - record["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process.pid
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            pass
        return None

    def wait(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until it is ready; raises ServiceError with the log's last lines when it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if is_ready():
                return
            if self.pid() is None:
                raise ServiceError(f"{self.name} ended while starting: {self.log_end()} (log: {self.log_path})")
            time.sleep(0.3)
        raise ServiceError(
            f"{self.name} was not ready after {timeout_s:.0f} s: {self.log_end()} (log: {self.log_path})"
        )

    def stop(self, *, first_signal: int = signal.SIGINT, grace_s: float = 15) -> None:
        """Ask the process to end, then end its whole group. Harmless when it does not run."""
        pid = self.pid()
        if pid is not None:
            members = _group(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, first_signal)
            _, alive = psutil.wait_procs(members, timeout=grace_s)
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(alive, timeout=5)
        self.record_path.unlink(missing_ok=True)

    def log_end(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return " / ".join(lines[-3:]) or "no output"


def _group(pid: int) -> list[psutil.Process]:
    """The process, its descendants, and whoever else is in its session."""
    members = {}
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        members = {p.pid: p for p in [parent, *parent.children(recursive=True)]}
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == pid:
                members[process.pid] = process
    return list(members.values())
