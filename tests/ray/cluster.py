"""A Ray cluster of several nodes on this machine, as `ray start` makes it, ended to the last process."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from realsyn_ops.cli.processes import Service, free_ports, port_is_free
from realsyn_ops.cli.services import PROJECT

RAY = str(Path(sys.executable).parent / "ray")
OBJECT_STORE_BYTES = 80_000_000


class Cluster:
    """Nodes are Services in sessions of their own: killing one kills what belongs to it and nothing else."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self.ip = own_address()
        self.port, self.client_port = free_ports(2)
        self.credentials = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(24)}
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AIRFLOW_"))},
            **self.credentials,
            **settings,
            "PYTHONPATH": str(PROJECT),
            "AIRFLOW_HOME": str(folder / "airflow"),  # there is none
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "GRPC_ENABLE_FORK_SUPPORT": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",  # other work on this machine must not end ours
        }
        self.nodes: dict[str, Service] = {}

    @property
    def address(self) -> str:
        """As a process of this machine reaches it."""
        return f"{self.ip}:{self.port}"

    @property
    def client_address(self) -> str:
        """As any other machine reaches it."""
        return f"ray://{self.ip}:{self.client_port}"

    def start(self) -> "Cluster":
        """Two nodes, each with a resource of its own."""
        self.add("first", "--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}",
                 "--include-dashboard=false", f"--temp-dir={self.temporary}")  # fmt: skip
        wait_until(lambda: not port_is_free(self.port), timeout_s=60)
        self.add("second", f"--address={self.address}")
        for node in self.nodes.values():
            node.wait(lambda node=node: "Ray runtime started" in node.log_path.read_text(), timeout_s=90)
        return self

    @property
    def temporary(self) -> Path:
        return Path("/tmp") / f"ray-{self.port}"  # noqa: S108 - the path of a socket may not be long

    def add(self, name: str, *options: str, cpus: int = 1) -> None:
        node = Service(name, self.folder)
        command = [RAY, "start", "--block", f"--node-ip-address={self.ip}", f"--num-cpus={cpus}",
                   f"--resources={json.dumps({name: 1})}", f"--object-store-memory={OBJECT_STORE_BYTES}",
                   "--disable-usage-stats", *options]  # fmt: skip
        node.start(command, env=self.env, cwd=self.folder)
        self.nodes[name] = node

    def processes(self, name: str) -> list[psutil.Process]:
        """All processes of a node."""
        session = self.nodes[name].pid()
        found = []
        for process in psutil.process_iter():
            try:
                if session is not None and os.getsid(process.pid) == session:
                    found.append(process)
            except (ProcessLookupError, psutil.Error):
                continue
        return found

    def kill(self, name: str) -> None:
        """SIGKILL to a whole node."""
        killed = self.processes(name)
        for process in killed:
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(is_alive(process) for process in killed), timeout_s=10)

    def stop(self) -> None:
        for name in reversed(self.nodes):
            self.kill(name)
        subprocess.run(["rm", "-rf", str(self.temporary)], check=False)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def own_address() -> str:
    """This machine's own address: nodes of one machine do not join by loopback."""
    addresses = [a.address for of in psutil.net_if_addrs().values() for a in of if a.family.name == "AF_INET"]
    return next((address for address in addresses if not address.startswith("127.")), "127.0.0.1")


def wait_until(holds: Callable[[], object], *, timeout_s: float, pause_s: float = 0.2) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(pause_s)
