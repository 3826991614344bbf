"""Near-duplicates by links: exact, whatever the order and the days, in time that grows with what is new.

Vectors of `benchmarks/material/planted_vectors.py`, whose near-duplicates are known. Each figure comes from a process
of its own on one thread, in CPU-seconds; fitting the centroids, which is done once for all days, is not counted. Groups
are compared by a digest of every record's survivor, similarity and component, whatever order the records came in.

- `records` at once, in one more order, in days, and a last day of a hundredth of them;
- `shuffles` orders of `exact_records`, and there faiss' exact range search beside ours;
- wallpapers of Debian packages with planted re-encodings, halvings and crops beside imagededup's PHash as it comes: by
  hash alone, by hashes of windows, and as the flow links them (hash and the demo encoder's visual embedding). The
  crops keep 80 to 95% of each side, which is what the windows are made for.
"""

import json
import re
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.material.convergence_runs import run_module
from benchmarks.material.dedup_pictures import CHANGES, plant
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.demo.packages import fetch

SUMMARY = "near-duplicates among a million vectors: recall, order, days, cost, beside exact range search"
N_DAYS = 5
DAY_SHARE = 100
MAX_BYTES_PER_RECORD = 4_500
_FAULTS = {
    "near_misses_linked": "near-misses linked",
    "members_outside": "members outside the threshold of their survivor",
    "linked_survivors": "survivors that are near-duplicates of each other",
}
_WALLPAPERS = ["mate-backgrounds", "lomiri-wallpapers-16.04"]


def measure(
    home: Path,
    console: Console,
    *,
    records: int = 1_000_000,
    exact_records: int = 100_000,
    shuffles: int = 10,
) -> Measurement:
    """At two sizes. How cost and memory grow, and what a day costs of a rebuild, are `scale` and `refresh`."""
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
        pictures = _pictures(home, Path(scratch), console)
    sizes = {exact_records: first, records: whole}
    figures: dict[str, Any] = {f"{n:,} records": _row(n, answer) for n, answer in sizes.items()}
    figures[f"{exact_records:,}, range search"] = {"cpu_seconds": _cpu(ranged)}
    figures[f"{records:,}, last day of 1 in {DAY_SHARE}"] = _row(records, last)
    figures["planted pairs, near-misses"] = f"{main.made['near']:,}, {main.made['missed']:,}"
    figures |= pictures
    same_small = {answer["digest"] for answer in (first, small_days, *orders)}
    same_main = {answer["digest"] for answer in (whole, shuffled, in_days, last)}
    answers = list(sizes.values())
    checks = [
        *(Check(f"recall of planted pairs, {n:,}", answer["recall"], ">=", 1) for n, answer in sizes.items()),
        *(Check(what, max(a[name] for a in answers), "<=", 0) for name, what in _FAULTS.items()),
        Check(f"groupings of {exact_records:,}: {shuffles + 1} orders, {N_DAYS} days", len(same_small), "<=", 1),
        Check(f"groupings of {records:,}: 2 orders, {N_DAYS} days, a last day", len(same_main), "<=", 1),
        Check("times the speed of exact range search", _cpu(ranged) / _cpu(first), ">=", 10),
        Check("peak bytes a record", whole["peak_rss_bytes"] / records, "<=", MAX_BYTES_PER_RECORD),
        *(
            Check(f"pictures: {name} of crops less imagededup's", pictures["by windows"][name] - peer, ">=", 0)
            for name, peer in pictures["imagededup"].items()
            if name in ("pair_f1", "images_per_second")
        ),
    ]
    return Measurement(f"{records:,} vectors of 384, threshold 0.9", figures, checks)


def _pictures(home: Path, scratch: Path, console: Console) -> dict[str, dict[str, float]]:
    """By each way and by the peer: images per second, precision, recall and F1 of pairs, recall of each change."""
    originals = [
        path for folder in fetch(_WALLPAPERS, home / "cache").values() for path in sorted(folder.rglob("*.jpg"))
    ]
    (scratch / "pictures").mkdir()
    # The same wallpaper in several sizes is one original.
    once = [path for path in originals if not path.is_symlink() and not re.search(r"_\d+x\d+$", path.stem)]
    files, groups = plant(once, scratch / "pictures")
    listed = scratch / "list"
    listed.write_text("\n".join(map(str, files)))
    truth = {(i, j) for i, j in combinations(range(len(files)), 2) if groups[i] == groups[j]}
    answers = {}
    for name, way in (("by hash", "hash"), ("by windows", "crops"), ("as the flow", "flow")):
        console.print(f"{len(files)} pictures: {way}", highlight=False)
        answers[name] = run_module("dedup_pictures", str(listed), way, str(home))
    console.print("imagededup", highlight=False)
    answers["imagededup"] = run_peer("imagededup", "imagededup_duplicates.py", [str(listed)], home, console)
    rows = {}
    for name, answer in answers.items():
        found = {(one, other) for one, other in answer["pairs"]}
        right = len(found & truth)
        rows[name] = {
            "images_per_second": len(files) / answer["seconds"],
            "pair_precision": right / max(1, len(found)),
            "pair_recall": right / len(truth),
            "pair_f1": 2 * right / (len(found) + len(truth)),
            **{
                change: sum((i, i + place) in found for i in range(0, len(files), 1 + len(CHANGES))) / len(once)
                for place, change in enumerate(CHANGES, 1)
            },
        }
    return rows


class _Corpus:
    """Planted vectors in a folder, made when asked for."""

    def __init__(self, folder: Path, n: int, console: Console) -> None:
        self.folder, self.n, self.console = folder, n, console
        folder.mkdir()
        self.made = self.run("make", n=n)

    def run(self, task: str, **arguments: int) -> dict[str, Any]:
        self.console.print(f"{self.n:,}: {task} {arguments or ''}", highlight=False)
        return run_module("dedup_tasks", task, json.dumps({"folder": str(self.folder), **arguments}))

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
