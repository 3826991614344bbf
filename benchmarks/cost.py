"""What a million images and ten million sentences cost: CPU-seconds, bytes and requests of each Dag.

The demo's documents go through the tasks of the Dags up to pairs, one by one in one process on one thread. What every
stage used is what the runs record themselves (`runs/`); the requests are those that the object store counted. Divided
by the images or sentences that went in, and multiplied; the days stand beside each other. What a stage costs once
(loading its models, empty tables) is in it, so few documents overrate; what the steps over all days cost at size,
`scale` measures.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.demo import prepare_input, prepare_models, upload
from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import ServiceError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket

SUMMARY = "CPU-seconds, bytes and requests of each stage, for a million images or sentences"
_COUNTER = re.compile(r'^SeaweedFS_s3_request_total\{.*?type="(\w+)".*?\} (\d+)', re.MULTILINE)
_OF_IMAGES = ("curate_images", "pair_texts")
MILLION = 1_000_000


def measure(home: Path, console: Console, *, documents: int = 60) -> Measurement:
    """So many of the demo's documents, in an object store of their own."""
    with TemporaryDirectory(dir=home) as scratch:
        folder = Path(scratch) / "home"
        folder.mkdir()
        for shared in ("cache", "models"):
            (home / shared).mkdir(exist_ok=True)
            (folder / shared).symlink_to(home / shared)
        stack = Stack(folder, metrics_port=free_ports(1)[0])
        prepare_models(folder / "models")
        stack.up_store()
        try:
            raw = prepare_input(folder, None, documents)
            upload(stack.bucket, raw)
            before = _requests(stack)
            for day in raw.days:
                console.print(f"{day}: tasks of four Dags", highlight=False)
                _run_day(stack, day)
            asked = _requests(stack) - before
            return summarise(stack.bucket, asked, documents)
        finally:
            stack.down()


def summarise(bucket: Bucket, requests: Counter[str], documents: int) -> Measurement:
    """By stage: CPU-seconds for a million of what its Dag takes in; bytes by what they are kept for."""
    corpus = Corpus(bucket)
    images, sentences = (corpus.read(table, ["key"]).num_rows for table in ("images", "sentences"))
    stages: dict[str, float] = defaultdict(float)
    days: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in corpus.read("documents", ["day"]).to_pylist():
        days[row["day"]]["documents"] += 1
    for item in bucket.list("runs/"):
        cost = json.loads(bucket.get(item.key))
        stages[f"{cost['dag']} {cost['stage']}"] += cost["cpu_seconds"]
        days[cost["day"]][cost["dag"]] += cost["cpu_seconds"]
    figures: dict[str, Any] = {"images": images, "sentences": sentences}
    figures |= {f"{day}: documents, CPU-seconds": dict(costs) for day, costs in sorted(days.items())}
    for stage, seconds in sorted(stages.items()):
        n = images if stage.startswith(_OF_IMAGES) else sentences
        figures[stage] = {"CPU-seconds": seconds, "for a million": seconds / n * MILLION}
    kept: Counter[str] = Counter()
    for item in bucket.list(""):
        parts = item.key.split("/")
        kept["/".join(parts[: 2 if parts[0] in ("corpus", "staging") else 1])] += item.n_bytes
    figures["bytes"] = dict(sorted(kept.items()))
    figures["requests"] = dict(sorted(requests.items()))
    figures["requests for a document"] = requests.total() / documents
    checks = [
        Check("stages that recorded what they used", len(stages), ">=", 10),
        Check("kinds of requests counted", len(requests), ">=", 3),
    ]
    return Measurement(f"{documents} documents: {images} images, {sentences} sentences", figures, checks)


def _run_day(stack: Stack, day: str) -> None:
    env = {**os.environ, **stack.airflow_env()}
    command = [sys.executable, "-m", "tests.flow.run_tasks", day, "{}"]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"{day} failed: {done.stderr.strip()[-1000:]}")


def _requests(stack: Stack) -> Counter[str]:
    """Of the object store by kind, since it started."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.metrics_port}/metrics", timeout=10) as answer:
        found = _COUNTER.findall(answer.read().decode())
    counts: Counter[str] = Counter()
    for kind, count in found:
        counts[kind] += int(count)
    return counts
