"""The default demo from empty: seconds, CPU-seconds and memory per stage, and Airflow's own share of the wall time.

The wall time is that from the first trigger to the fetched release; Airflow's share is the part of it in which none of
our stages ran: scheduling, starting task processes, and waiting.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import ServiceError

SUMMARY = "the default demo: cost per stage, Airflow's share of the wall time (at most 25%), memory (at most 4 GB)"
MAX_AIRFLOW_SHARE = 0.25
MAX_RSS_GB = 4.0


def measure(home: Path, console: Console) -> Measurement:
    """Runs the demo in a home of its own, from empty but for downloads and prepared weights."""
    scratch = home / "bench-demo"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for shared in ("cache", "models"):
        (home / shared).mkdir(exist_ok=True)
        (scratch / shared).symlink_to(home / shared)
    env = {**os.environ, "REALSYN_HOME": str(scratch), "PYTHONPATH": str(PROJECT)}
    console.print("running the default demo from empty; this takes minutes")
    command = [sys.executable, "-m", "realsyn_ops.cli", "demo"]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"the demo failed: {done.stderr.strip() or done.stdout.strip()[-500:]}")
    folder = scratch / "reports" / (scratch / "reports" / "latest").read_text()
    report = json.loads((folder / "report.json").read_text())
    timing = json.loads((folder / "demo.json").read_text())
    shutil.rmtree(scratch)
    return summarise(report, timing)


def summarise(report: dict, timing: dict) -> Measurement:
    """Figures and checks of a finished demo's report and timing."""
    rows: dict[str, dict[str, float]] = defaultdict(
        lambda: {"tasks": 0, "seconds": 0.0, "cpu_seconds": 0.0, "peak_rss_gb": 0.0}
    )
    spans = []
    for stage in report["stages"]:
        row = rows[f"{stage['dag']} {stage['stage']}"]
        row["tasks"] += stage["tasks"]
        row["seconds"] += stage["seconds"]
        row["cpu_seconds"] += stage["cpu_seconds"]
        row["peak_rss_gb"] = max(row["peak_rss_gb"], stage["peak_rss_bytes"] / 2**30)
        spans += stage["spans"]
    wall = timing["wall_seconds"]
    share = 1 - covered_seconds(spans) / wall
    sizes = {name: steps[0]["n_kept"] for name, steps in report["funnel"].items()}
    figures = {
        **{name: {k: round(v, 2) for k, v in row.items()} for name, row in rows.items()},
        "wall_seconds": wall,
        "setup_seconds": timing["setup_seconds"],
        "airflow_share": round(share, 3),
    }
    checks = [
        Check("Airflow's share of the wall time", round(share, 3), "<=", MAX_AIRFLOW_SHARE),
        Check("peak memory of a task (GB)", max(r["peak_rss_gb"] for r in rows.values()), "<=", MAX_RSS_GB),
    ]
    data = f"{sizes['documents']} documents, {sizes['images']} images, {sizes['sentences']} sentences"
    return Measurement(data, figures, checks)


def covered_seconds(spans: list[list[float]]) -> float:
    """Length of the union of [start, end] spans."""
    covered = 0.0
    end = float("-inf")
    for start, stop in sorted(spans):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return covered
