"""The grounding gate on labelled answers: precision and recall of what it accepts, by kind; texts a second of a core.

The sets lie under `tests/stages/grounding/`, with a page that says how they came about. The rules were made with the
first one in view and mended by the second; the third was written after that, and nothing was changed by it.
"""

import json
import resource
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.kinds import Merge
from realsyn_ops.stages.synthesize import grounding_reason

SUMMARY = "the grounding gate on labelled answers: precision and recall of 'accepted', texts a second"
SETS = PROJECT / "tests" / "stages" / "grounding"
MAX_WORDS = 60
MIN_PRECISION, MIN_RECALL = 0.98, 0.85

Case = tuple[Merge, dict[str, str]]
"""Sources, and the case's text, verdict and kind."""


def measure(home: Path, console: Console, *, rounds: int = 10) -> Measurement:
    """All sets once for the verdicts, then so many times for the speed (one thread, after a warm-up)."""
    figures: dict[str, Any] = {}
    checks = []
    everything: list[Case] = []
    for path in sorted(SETS.glob("*.jsonl")):
        cases = read_cases(path)
        everything += cases
        scores = score(cases)
        figures[path.stem] = scores["all"]
        figures |= {f"{path.stem}: {kind}": values for kind, values in scores.items() if kind != "all"}
        checks += [
            Check(f"precision of accepted, {path.stem} set", scores["all"]["precision"], ">=", MIN_PRECISION),
            Check(f"recall of accepted, {path.stem} set", scores["all"]["recall"], ">=", MIN_RECALL),
        ]
    figures["texts a CPU-second"] = _speed(everything, rounds)
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return Measurement(f"{len(everything)} labelled answers", figures, checks)


def read_cases(path: Path) -> list[Case]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (
            Merge(row["realistic_text"], row["caption"], tuple(row["tags"])),
            {name: row[name] for name in ("text", "verdict", "kind")},
        )
        for row in rows
    ]


def score(cases: list[Case]) -> dict[str, dict[str, Any]]:
    """``all``: precision and recall of accepted; per kind how many were judged as labelled, and why others not."""
    right: Counter[str] = Counter()
    n_of: Counter[str] = Counter()
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    n_accepted = n_rightly = n_acceptable = 0
    for merge, case in cases:
        reason = grounding_reason(case["text"], merge, max_words=MAX_WORDS)
        is_acceptable = case["verdict"] == "accept"
        name = f"{case['verdict']} {case['kind']}"
        n_of[name] += 1
        n_acceptable += is_acceptable
        n_accepted += reason is None
        n_rightly += is_acceptable and reason is None
        if is_acceptable == (reason is None):
            right[name] += 1
        else:
            wrong[name][reason or "accepted"] += 1
    total = {
        "n": len(cases),
        "right": sum(right.values()),
        "precision": n_rightly / max(1, n_accepted),
        "recall": n_rightly / max(1, n_acceptable),
    }
    kinds = {
        name: {"n": n, "right": right[name], "wrong": ", ".join(f"{why} {k}" for why, k in sorted(wrong[name].items()))}
        for name, n in sorted(n_of.items())
    }
    return {"all": total, **kinds}


def _speed(cases: list[Case], rounds: int) -> float:
    for merge, case in cases:
        grounding_reason(case["text"], merge, max_words=MAX_WORDS)
    started = time.process_time()
    for _ in range(rounds):
        for merge, case in cases:
            grounding_reason(case["text"], merge, max_words=MAX_WORDS)
    return rounds * len(cases) / (time.process_time() - started)
