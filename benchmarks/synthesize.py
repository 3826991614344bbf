"""The rewriter's client against a server that behaves like vLLM, in a process of its own: throughput, and what a kill
costs.

The server (`benchmarks/material/simulated_vllm.py`) batches 64 sequences continuously, refuses more than 160 requests
at once, and lets the first try of one question in twenty go wrong. Its own maximum is measured in the same run by a
load that saturates it, under the same faults; what it is by construction, without faults, stands beside. Ours runs as
the task does: prompts, requests, each answer kept in a real object store as it arrives.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from rich.console import Console

from benchmarks.material.asking import batch_of
from benchmarks.material.serving import Served, simulated
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import ServiceError
from realsyn_ops.io.answers import take_in, take_in_arrived
from realsyn_ops.io.schemas import ANSWERS
from realsyn_ops.io.storage import Bucket

SUMMARY = "synthetic texts: throughput beside a simulated vLLM's own maximum; requests paid twice over kills and reruns"
FAULTS = {"full": 0.01, "error": 0.01, "reset": 0.005, "stall": 0.003, "malformed": 0.01, "cut": 0.01}
LOAD = {"slots": 64, "max_requests": 160}
LIMITS = {"min_timeout_s": 5.0}
"""The simulated server answers within a second: it need not be silent for as long as one that may have a long queue."""
SATURATED_S = 30
KILLED_FIRST = 10**5
MIN_SHARE = 0.95


def measure(home: Path, console: Console, *, questions: int = 8_000, killed_questions: int = 2_000) -> Measurement:
    """So many questions at full speed; then so many over two kills."""
    with _store(home) as bucket:
        console.print(f"the server's own maximum, {SATURATED_S} s", highlight=False)
        with simulated(**LOAD, faults=FAULTS) as server:
            most = _run("saturating_load", server.url, str(2 * LOAD["slots"]), str(SATURATED_S))["answers_per_second"]
        console.print(f"ours, {questions:,} questions", highlight=False)
        with simulated(**LOAD, faults=FAULTS) as server:
            took = _ask(bucket, server, 0, questions)
            at_speed = server.stats()
            n_table = _take_in(bucket)
            again = _ask(bucket, server, 0, questions)
            n_again = server.stats()["requests"] - at_speed["requests"]
        console.print(f"ours, {killed_questions:,} questions, killed twice", highlight=False)
        with simulated(**LOAD, faults=FAULTS) as server:
            killed = _killed(bucket, server, killed_questions)
    return _summarise(questions, killed_questions, most, at_speed, took, again, n_table, n_again, killed)


def _summarise(
    n: int, n_killed: int, most: float, at_speed: dict[str, Any], took: dict[str, Any], again: dict[str, Any],
    n_table: int, n_again: int, killed: dict[str, Any],
) -> Measurement:  # fmt: skip
    busy_s, whole_s = (at_speed[end] - at_speed["first"] for end in ("last_new", "last"))
    busy, whole = at_speed["answered_by_last_new"] / busy_s, at_speed["answered"] / whole_s
    figures = {
        "answers per second": {
            "the server's maximum, saturated": most,
            "by construction, no faults": at_speed["max_answers_per_second"],
            "ours, while there are questions": busy,
            "ours, first to last": whole,
        },
        "ours": {
            "seconds": took["asking_seconds"],
            "CPU-ms a question": 1e3 * took["cpu_seconds"] / n,
            "peak_rss_mb": took["peak_rss_bytes"] / 2**20,
            "most requests at once": at_speed["most_open"],
            "requests": at_speed["requests"],
        },
        "what the server did": at_speed["counts"],
        "killed twice": {
            "answers received at the kills": killed["received"],
            "answers kept at the kills": killed["kept"],
            "asked again though received": killed["counts"].get("asked_though_received", 0),
            "answered, but on their way at the kill, and asked again": killed["answered_again"],
            "requests dropped at the kill": killed["counts"].get("dropped", 0),
        },
    }
    n_paid_twice = killed["counts"].get("asked_though_received", 0) + at_speed["answered_again"]
    checks = [
        Check("of the server's maximum, while there are questions", busy / most, ">=", MIN_SHARE),
        Check("questions without an answer of their own", n - min(took["n_whole"], took["n_different"]), "<=", 0),
        Check("the same after two kills", n_killed - min(killed["n_whole"], killed["n_different"]), "<=", 0),
        Check("answers received and paid for again", n_paid_twice, "<=", 0),
        Check("answers received and not kept at a kill", killed["received_not_kept"], "<=", 0),
        Check("requests of a second run", n_again + killed["n_again"], "<=", 0),
        Check("answers of the second run that differ", float(again["digest"] != took["digest"]), "<=", 0),
        Check("answers that are not in the table", n - n_table, "<=", 0),
    ]
    return Measurement(
        f"{n:,} and {n_killed:,} questions, {sum(FAULTS.values()):.1%} first tries go wrong", figures, checks
    )


def _killed(bucket: Bucket, server: Served, n: int) -> dict[str, Any]:
    """Ask, die at a third and at two thirds of the answers, ask to the end, and once more."""
    received, kept, lost = [], [], 0
    for part in (1, 2):
        command = _command(bucket, server, KILLED_FIRST, n)
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as process:
            while server.stats()["answered"] < n * part // 3:
                if process.poll() is not None:
                    raise ServiceError(f"the asking process ended by itself, with {process.returncode}")
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        received.append(server.stats()["received"])
        kept.append(len(batch_of(bucket, KILLED_FIRST).arrived()))
        lost += max(0, received[-1] - kept[-1])
    took = _ask(bucket, server, KILLED_FIRST, n)
    stats = server.stats()
    again = _ask(bucket, server, KILLED_FIRST, n)
    n_again = server.stats()["requests"] - stats["requests"] + (again["digest"] != took["digest"])
    return {**stats, **took, "received": received[-1], "kept": kept[-1], "received_not_kept": lost, "n_again": n_again}


def _ask(bucket: Bucket, server: Served, first: int, n: int) -> dict[str, Any]:
    done = subprocess.run(_command(bucket, server, first, n), cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the asking process failed: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _command(bucket: Bucket, server: Served, first: int, n: int) -> list[str]:
    arguments = [json.dumps(asdict(bucket)), f"{server.url}#simulated", str(first), str(n), json.dumps(LIMITS)]
    return [sys.executable, "-m", "benchmarks.material.asking", *arguments]


def _run(module: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.material.{module}", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _take_in(bucket: Bucket) -> int:
    """All that arrived becomes rows of the table; how many there are."""
    take_in(bucket, ANSWERS.empty_table())
    take_in_arrived(bucket)
    from realsyn_ops.io.corpus import Corpus

    table: pa.Table = Corpus(bucket).read("answers", ["key"])
    return int(table.num_rows)


@contextmanager
def _store(home: Path) -> Iterator[Bucket]:
    """An object store of its own."""
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home) as scratch:
        stack = Stack(Path(scratch))
        os.environ.setdefault("PYTHONPATH", str(PROJECT))
        try:
            stack.up_store()
            stack.bucket.create()
            yield stack.bucket
        finally:
            stack.down()
