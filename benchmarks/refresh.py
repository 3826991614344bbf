"""What a day of a hundredth costs beside the rebuild of all that came before it, and whether it ends in the same.

The steps over all days of `curate_images`, `cluster_sentences` and `pair_texts` on generated vectors
(`benchmarks/material/whole_corpus.py`), in CPU-seconds of one thread; the codebook and the sight are frozen. What the
Dags do to each record by itself (decoding, filters, models) is left out: it is a hundredth of the rebuild's.
"""

from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.material.convergence_runs import STEPS, cpu_seconds, generated, peak_bytes
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.settings import Settings

SUMMARY = "a day of 1% beside a rebuild: CPU-seconds of the steps over all days, and the same links, groups and texts"
DAY_SHARE, MAX_COST_SHARE = 100, 0.03


def measure(home: Path, console: Console, *, sentences: int = 1_000_000) -> Measurement:
    """A rebuild of so many sentences and a tenth as many images, a day of 1% more, and a rebuild of everything."""
    memory_bytes = Settings.model_fields["memory_bytes"].default
    with generated(home, console, n=sentences, day=sentences // DAY_SHARE) as (corpus, fitted):
        before = corpus.run("rebuild", everything=False, memory_bytes=memory_bytes)
        day = corpus.run("day", memory_bytes=memory_bytes)
        whole = corpus.run("rebuild", everything=True, memory_bytes=memory_bytes)
    return summarise(sentences, fitted, before, day, whole)


def summarise(
    sentences: int, fitted: dict[str, Any], before: dict[str, Any], day: dict[str, Any], whole: dict[str, Any]
) -> Measurement:
    """CPU-seconds by step, the day's share of the rebuild's, and what differs from the rebuild of everything."""
    runs = {"rebuild": before, "day": day, "rebuild with the day": whole}
    figures: dict[str, Any] = {
        step: {name: one["seconds"].get(step, 0.0) for name, one in runs.items()}
        for step in dict.fromkeys([*before["seconds"], *day["seconds"]])
    }
    for step in ("", *STEPS):
        costs = {name: cpu_seconds(one, step) for name, one in runs.items()}
        figures[f"{step or 'all'}, CPU-seconds"] = {**costs, "day / rebuild": costs["day"] / costs["rebuild"]}
    figures["peak memory (MB)"] = {name: peak_bytes(one) / 2**20 for name, one in runs.items()}
    figures["codebook and sight, once (CPU-seconds)"] = cpu_seconds(fitted)
    figures["images searched by the day"] = day["n_searched"]
    figures["share of sentences scored"] = whole["share_scored"]
    different = [kind for kind, digest in whole["digests"].items() if day["digests"][kind] != digest]
    checks = [
        Check("of images, sentences and texts: different from the rebuild's", len(different), "<=", 0),
        Check(
            "CPU-seconds of a day of 1%, of the rebuild's", cpu_seconds(day) / cpu_seconds(before), "<=", MAX_COST_SHARE
        ),
    ]
    return Measurement(f"{sentences:,} generated sentences, a tenth as many images", figures, checks)
