"""Servers of chat completions in processes of their own, and what to ask them."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.kinds import Merge


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


def numbered_merges(n: int, *, first: int = 0) -> list[Merge]:
    """Merges that differ."""
    return [
        Merge(f"The boat number {i} was built in Bergen in 1921 and carries forty passengers.", "a photo of a boat",
              ("boat", "dock"))
        for i in range(first, first + n)
    ]  # fmt: skip
