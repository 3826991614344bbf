"""Tasks of `convergence_tasks`, each in a process of its own with one thread, and figures of what they answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from realsyn_ops.cli.services import ONE_THREAD, PROJECT
from realsyn_ops.errors import ServiceError

STEPS = ("images", "sentences", "pair")
"""What the Dags `curate_images`, `cluster_sentences` and `pair_texts` do over all days."""
LIGHT_FACTOR = 2
"""Light columns are held once, and once more in part while they are sorted and joined."""


class Corpus:
    """A generated corpus in a folder, with its frozen centroids and sight."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console

    def run(self, task: str, **arguments: Any) -> dict[str, Any]:
        """A task's answer."""
        self.console.print(f"{task} {arguments or ''}", highlight=False)
        return run_module("convergence_tasks", task, json.dumps({"folder": str(self.folder), **arguments}))


def run_module(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a module of `benchmarks/material/` prints last, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.material.{module}", *arguments],
        cwd=PROJECT,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"{module} {arguments[0]} failed: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


@contextmanager
def generated(home: Path, console: Console, *, n: int, day: int) -> Iterator[tuple[Corpus, dict[str, Any]]]:
    """A corpus of n sentences and a day of more, and what its centroids and sight cost; gone afterwards."""
    with TemporaryDirectory(dir=home) as scratch:
        console.print(f"{n:,} sentences", highlight=False)
        corpus = Corpus(Path(scratch), console)
        corpus.run("generate", n=n, day=day)
        yield corpus, corpus.run("fit")


def cpu_seconds(answer: dict[str, Any], step: str = "") -> float:
    """Of the steps whose names start so."""
    return float(sum(took for name, took in answer["seconds"].items() if name.startswith(step)))


def peak_bytes(answer: dict[str, Any]) -> int:
    """The most memory that the process held in any step."""
    return max(answer["peaks"].values())


def allowed_bytes(answer: dict[str, Any], memory_bytes: int) -> int:
    """What the process may hold: the budget, what it held before it began, and the light columns with their copies."""
    return int(memory_bytes + answer["fixed_bytes"] + LIGHT_FACTOR * answer["light_bytes"])
