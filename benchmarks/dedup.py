"""Near-duplicates by links: exact, whatever the order and the days, in time that grows with what is new.

Vectors of `benchmarks/material/planted_vectors.py`, whose near-duplicates are known. Each figure comes from a process
of its own on one thread, in CPU-seconds; fitting the centroids, which is done once for all days, is not counted. Groups
are compared by a digest of every record's survivor, similarity and component, whatever order the records came in.

- `records` at once, in one more order, in days, and a last day of a hundredth of them;
- `shuffles` orders of `exact_records`, and there faiss' exact range search beside ours;
- from 100 thousand to `largest` for how cost and memory grow.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import ServiceError

SUMMARY = "near-duplicates among a million vectors: recall, order, days, cost, beside exact range search"
N_DAYS = 5
DAY_SHARE = 100
MAX_BYTES_PER_RECORD = 4_500
_FAULTS = {
    "near_misses_linked": "near-misses linked",
    "members_outside": "members outside the threshold of their survivor",
    "linked_survivors": "survivors that are near-duplicates of each other",
}
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def measure(
    home: Path,
    console: Console,
    *,
    records: int = 1_000_000,
    exact_records: int = 100_000,
    shuffles: int = 10,
    largest: int = 3_000_000,
) -> Measurement:
    """At three sizes; the largest takes 13 GB of disk while it is measured."""
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        small = _Corpus(Path(scratch) / "small", exact_records, console)
        first = small.run("rebuild", seed=0)
        orders = [small.run("rebuild", seed=seed) for seed in range(1, shuffles + 1)]
        small_days = small.run("days", seed=1, n_days=N_DAYS)
        ranged = small.run("exact")
        small.clear()
        main = _Corpus(Path(scratch) / "main", records, console)
        whole = main.run("rebuild", seed=0)
        shuffled, in_days = main.run("rebuild", seed=1), main.run("days", seed=1, n_days=N_DAYS)
        last = main.run("last_day", share=DAY_SHARE)
        main.clear()
        large = whole
        if largest != records:
            most = _Corpus(Path(scratch) / "large", largest, console)
            large = most.run("rebuild", seed=0)
            most.clear()
    sizes = {exact_records: first, records: whole, largest: large}
    figures: dict[str, Any] = {f"{n:,} records": _row(n, answer) for n, answer in sizes.items()}
    figures[f"{exact_records:,}, range search"] = {"cpu_seconds": _cpu(ranged)}
    figures[f"{records:,}, last day of 1 in {DAY_SHARE}"] = _row(records, last)
    figures["planted pairs, near-misses"] = f"{main.made['near']:,}, {main.made['missed']:,}"
    same_small = {answer["digest"] for answer in (first, small_days, *orders)}
    same_main = {answer["digest"] for answer in (whole, shuffled, in_days, last)}
    costs = [_cpu(answer) / n for n, answer in sizes.items()]
    answers = list(sizes.values())
    checks = [
        *(Check(f"recall of planted pairs, {n:,}", answer["recall"], ">=", 1) for n, answer in sizes.items()),
        *(Check(what, max(a[name] for a in answers), "<=", 0) for name, what in _FAULTS.items()),
        Check(f"groupings of {exact_records:,}: {shuffles + 1} orders, {N_DAYS} days", len(same_small), "<=", 1),
        Check(f"groupings of {records:,}: 2 orders, {N_DAYS} days, a last day", len(same_main), "<=", 1),
        Check("times the speed of exact range search", _cpu(ranged) / _cpu(first), ">=", 10),
        Check("share of a rebuild that a day of a hundredth costs", _cpu(last) / _cpu(whole), "<=", 0.03),
        Check("CPU-seconds a record, most beside least", max(costs) / min(costs), "<=", 1.3),
        Check("peak bytes a record", whole["peak_rss_bytes"] / records, "<=", MAX_BYTES_PER_RECORD),
    ]
    return Measurement(f"{records:,} vectors of 384, threshold 0.9", figures, checks)


class _Corpus:
    """Planted vectors in a folder, made when asked for."""

    def __init__(self, folder: Path, n: int, console: Console) -> None:
        self.folder, self.n, self.console = folder, n, console
        folder.mkdir()
        self.made = self.run("make", n=n)

    def run(self, task: str, **arguments: int) -> dict[str, Any]:
        self.console.print(f"{self.n:,}: {task} {arguments or ''}", highlight=False)
        arguments_json = json.dumps({"folder": str(self.folder), **arguments})
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.material.dedup_tasks", task, arguments_json],
            cwd=PROJECT,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceError(f"{task} failed: {done.stderr.strip()[-1000:]}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


def _cpu(answer: dict[str, Any]) -> float:
    return float(sum(answer["seconds"].values()))


def _row(n: int, answer: dict[str, Any]) -> dict[str, Any]:
    """CPU-seconds of each step and of all, microseconds a record, peak memory, what was found."""
    found = {name: answer[name] for name in ("n_links", "members", "cells_per_record", "recall") if name in answer}
    return {
        **answer["seconds"],
        "cpu_seconds": _cpu(answer),
        "us_per_record": 1e6 * _cpu(answer) / n,
        "peak_rss_mb": answer["peak_rss_bytes"] / 2**20,
        **found,
    }
