"""How the cost of `curate_images`, `cluster_sentences` and `pair_texts` grows: CPU-seconds a sentence, peak memory.

Their steps over all days run on generated vectors (`benchmarks/material/whole_corpus.py`), an image to ten sentences,
all at once, one thread, each size in a process of its own. Clusters grow with the sentences: one to 420. Codebook and
sight are frozen, what they cost is a column apart. What is done to each record by itself (see `refresh`) costs the same
at every size and most of all. What is held to be linear is everything that the three Dags do; the steps over all days
alone grow faster (docs/cost.md says why), and are held to the power that they have today.

`memory_bytes` is what a step may hold of vectors at once. Besides these a process holds what it needs of every record
however small a part it looks at (hashes, cells, heads, bands, links, codes, texts), and copies of some of it while it
sorts: `LIGHT_FACTOR` times the bytes that these columns have, and what it held before it began.

`python -m benchmarks.material.plot ANSWER docs/scale.svg` draws what `--json` answers.
"""

from math import log
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.material.convergence_runs import STEPS, allowed_bytes, cpu_seconds, generated, peak_bytes
from benchmarks.material.whole_corpus import SENTENCES_PER_IMAGE
from benchmarks.refresh import record_costs
from realsyn_ops.cli.bench import Check, Measurement

SUMMARY = "CPU-seconds a sentence and peak memory from 100 thousand sentences up"
SIZES = (100_000, 300_000, 1_000_000, 3_000_000)
MAX_SPREAD = 1.3
MAX_POWER = 1.5
"""Of the steps over all days alone: no bar of ours, but what a change must not fall back behind."""


def measure(home: Path, console: Console, *, sentences: int = 300_000, memory_mb: int = 2_048) -> Measurement:
    """At the sizes below so many sentences, and at so many. 3,000,000 take hours and 15 GB of disk."""
    each = record_costs(home, console)
    answers = {}
    for n in [size for size in SIZES if size < sentences] + [sentences]:
        with generated(home, console, n=n, day=0) as (corpus, fitted):
            answers[n] = corpus.run("rebuild", everything=True, memory_bytes=memory_mb * 2**20) | {"fitted": fitted}
    return summarise(answers, each, memory_bytes=memory_mb * 2**20)


def summarise(answers: dict[int, dict[str, Any]], each: dict[str, float], *, memory_bytes: int) -> Measurement:
    """CPU-microseconds a sentence by step and size; memory beside what is allowed."""
    figures: dict[str, Any] = {}
    for step in dict.fromkeys(step for answer in answers.values() for step in answer["seconds"]):
        figures[step] = {f"{n:,}": _us(answer, step, n) for n, answer in answers.items()}
    for step in STEPS:
        figures[f"{step}, all steps"] = {f"{n:,}": _us(answer, f"{step}:", n) for n, answer in answers.items()}
    per_sentence = {n: _us(answer, "", n) for n, answer in answers.items()}
    figures["CPU-microseconds a sentence"] = {f"{n:,}": cost for n, cost in per_sentence.items()}
    by_itself = 1e6 * (each["sentence_seconds"] + each["image_seconds"] / SENTENCES_PER_IMAGE)
    everything = {n: cost + by_itself for n, cost in per_sentence.items()}
    figures["with each record by itself"] = {f"{n:,}": cost for n, cost in everything.items()}
    figures["codebook and sight, once"] = {f"{n:,}": _us(a["fitted"], "", n) for n, a in answers.items()}
    figures["peak memory (MB)"] = {f"{n:,}": peak_bytes(a) / 2**20 for n, a in answers.items()}
    figures["allowed (MB)"] = {f"{n:,}": allowed_bytes(a, memory_bytes) / 2**20 for n, a in answers.items()}
    figures["light columns (bytes a sentence)"] = {f"{n:,}": a["light_bytes"] / n for n, a in answers.items()}
    figures["share of sentences scored"] = {f"{n:,}": answer["share_scored"] for n, answer in answers.items()}
    figures["grows as the number of sentences to the power of"] = {
        step or "all steps": _exponent(answers, step) for step in ("", *STEPS)
    }
    figures["most beside least"] = {step or "all steps": _spread(answers, step) for step in ("", *STEPS)}
    checks = [
        Check(
            "cost a sentence, most beside least", max(everything.values()) / min(everything.values()), "<=", MAX_SPREAD
        ),
        Check("steps over all days alone: power of the number of sentences", _exponent(answers, ""), "<=", MAX_POWER),
        Check(
            "peak memory, of what is allowed, at the worst size",
            max(peak_bytes(answer) / allowed_bytes(answer, memory_bytes) for answer in answers.values()), "<=", 1,
        ),
    ]  # fmt: skip
    sizes = ", ".join(f"{n:,}" for n in answers)
    return Measurement(f"{sizes} generated sentences, CPU-microseconds each", figures, checks)


def _us(answer: dict[str, Any], step: str, n: int) -> float:
    return 1e6 * cpu_seconds(answer, step) / n


def _exponent(answers: dict[int, dict[str, Any]], step: str) -> float:
    """Of the whole cost, from the smallest size to the largest; 1 is linear."""
    least, most = min(answers), max(answers)
    if least == most:
        return 1.0
    return log(cpu_seconds(answers[most], step) / cpu_seconds(answers[least], step)) / log(most / least)


def _spread(answers: dict[int, dict[str, Any]], step: str) -> float:
    costs = [_us(answer, step, n) for n, answer in answers.items()]
    return max(costs) / min(costs)
