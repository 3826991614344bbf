"""Servers of chat completions in processes of their own, and what to ask them."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.peers import peer_python
from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import ServiceError
from realsyn_ops.kinds import Merge

_STARTS_S = 300


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as answer:  # noqa: S310 - this machine
            return json.load(answer)


@contextmanager
def simulated(**load: Any) -> Iterator[Served]:
    """A simulated vLLM under this `simulated_vllm.Load`."""
    command = [sys.executable, "-m", "benchmarks.material.simulated_vllm", json.dumps(load)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as server:
        assert server.stdin is not None  # noqa: S101
        assert server.stdout is not None  # noqa: S101
        try:
            yield Served(f"http://127.0.0.1:{int(server.stdout.readline())}/v1")
        finally:
            server.stdin.close()


@contextmanager
def transformers_serve(model_path: Path, home: Path, console: Console) -> Iterator[str]:
    """transformers' own server with a model; the spec of the rewriter behind it.

    The project's Python runs it, with what it wants beyond the project's lock in a folder of its own.
    """
    further = peer_python("transformers_serve", home, console).parents[1]
    [packages] = further.glob("lib/python*/site-packages")
    [port] = free_ports(1)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model_path), "--port", str(port),
               "--device", "cpu", "--dtype", "float32"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": f"{PROJECT}:{packages}", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1#{model_path}"
        finally:
            server.kill()  # it does not end on SIGTERM while it writes


def _wait_until_healthy(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _STARTS_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - this machine
            return
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"transformers serve does not come up: {error}") from error
        time.sleep(0.5)


def numbered_merges(n: int, *, first: int = 0) -> list[Merge]:
    """Merges that differ."""
    return [
        Merge(f"The boat number {i} was built in Bergen in 1921 and carries forty passengers.", "a photo of a boat",
              ("boat", "dock"))
        for i in range(first, first + n)
    ]  # fmt: skip
