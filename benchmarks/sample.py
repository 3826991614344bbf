"""A release's selection of very many assignments: three nested scales, beside pandas' groupby and sample.

Generated rows in files, each task in a process of its own on one thread. Ours: bounds at quantiles, the what-if table,
caps, cuts and the keys of every scale written to files. pandas: the first tenth of the same rows in memory, a tenth of
the sizes, bounds and three samples; caps are given to it and nothing is written. Compared is CPU time a row, since the
machine may be shared. Then 1% of new rows is added and everything is selected anew.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.material.convergence_runs import run_module
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.settings import Settings

SUMMARY = "three nested scales of 200 million assignments, beside pandas' groupby and sample"
MAX_BYTES, MIN_RATIO, MAX_CHANGE = 6 * 10**9, 5.0, 0.02
_SCALES = (0.075, 0.15, 0.5)
_ROWS_A_CLUSTER = 200
_NEW_SHARE = 0.01


def measure(home: Path, console: Console, *, assignments: int = 200_000_000) -> Measurement:
    """Checks sizes, nesting, memory, speed and stability."""
    k = max(2, assignments // _ROWS_A_CLUSTER)
    wanted = [round(assignments * share) for share in _SCALES]
    with TemporaryDirectory(dir=home) as scratch:

        def run(task: str, **arguments: Any) -> dict[str, Any]:
            console.print(f"{task} {arguments}", highlight=False)
            return run_module("sample_tasks", task, json.dumps({"folder": scratch, **arguments}))

        made = run("generate", n=assignments, n_new=round(assignments * _NEW_SHARE), k=k)
        common = {"k": k, "memory_bytes": Settings.model_fields["memory_bytes"].default}
        ours = run("ours", n=assignments, wanted=wanted, into="before", **common)
        checked = run("check", n=assignments, k=k, bounds=ours["bounds"], caps=ours["caps"])
        theirs = run("pandas", n=assignments // 10, k=k, wanted=[size // 10 for size in wanted])
        run("ours", n=assignments + made["n_new"], wanted=wanted, into="after", **common)
        changes = run("changes", n_scales=len(wanted))
    ratio = _a_row(theirs) / _a_row(ours)
    return Measurement(
        f"{assignments:,} assignments to {k:,} clusters (largest {made['largest']:,}, median {made['median']:,})",
        {
            "ours": _columns(ours),
            "pandas": _columns(theirs),
            "sizes": {f"{size:,}": n for size, n in zip(wanted, checked["sizes"], strict=True)},
            "caps": {f"{size:,}": cap for size, cap in zip(wanted, ours["caps"], strict=True)},
            "left after 1% came": {f"{s:,}": c for s, c in zip(wanted, changes["left"], strict=True)},
            "came": {f"{s:,}": c for s, c in zip(wanted, changes["came"], strict=True)},
            "ratio": ratio,
        },
        [
            Check("sizes that differ from the wanted ones", _differing(checked["sizes"], wanted), "<=", 0),
            Check("keys more than once, or in a scale and not in the next", checked["repeated"], "<=", 0),
            Check("clusters beyond the cap, or two below it and not whole", checked["uneven"], "<=", 0),
            Check("peak memory in bytes", ours["peak_bytes"], "<=", MAX_BYTES),
            Check("CPU time a row, pandas over ours", ratio, ">=", MIN_RATIO),
            Check("share of a selection that 1% of new rows replaces, at most", max(changes["left"]), "<=", MAX_CHANGE),
        ],
    )


def _a_row(answer: dict[str, Any]) -> float:
    return sum(answer["cpu_seconds"].values()) / answer["n"]


def _differing(found: list[int], wanted: list[int]) -> int:
    return sum(one != other for one, other in zip(found, wanted, strict=True))


def _columns(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "rows": answer["n"],
        "seconds": round(sum(answer["seconds"].values()), 1),
        "CPU seconds": round(sum(answer["cpu_seconds"].values()), 1),
        "CPU ns a row": round(_a_row(answer) * 1e9),
        "peak bytes": answer["peak_bytes"],
        **{f"CPU: {step}": round(took, 1) for step, took in answer["cpu_seconds"].items()},
    }
