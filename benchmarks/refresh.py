"""What a day of a hundredth costs beside the rebuild of all that came before it, and whether it ends in the same.

`curate_images`, `cluster_sentences` and `pair_texts` in CPU-seconds of one thread; the codebook and the sight are
frozen. The steps over all days run on generated vectors (`benchmarks/material/whole_corpus.py`). What the Dags do to
each record by itself is measured on wallpapers and WordNet's definitions and multiplied: an image decoded, judged,
hashed and embedded, a sentence embedded, by the `demo` encoder (`benchmarks/material/record_costs.py`). Filters,
perplexity and synthesis, which make a rebuild dearer still, are left out. What is held to 3% is all that the three Dags
do. With the models on a GPU most of what is left are the steps over all days: of these a day costs more, and is held to
what it costs today.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.material.convergence_runs import STEPS, cpu_seconds, generated, peak_bytes, run_module
from benchmarks.material.stamp_labels import read_definitions
from benchmarks.material.whole_corpus import SENTENCES_PER_IMAGE
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.demo.packages import fetch
from realsyn_ops.settings import Settings

SUMMARY = "a day of 1% beside a rebuild: CPU-seconds of the steps over all days, and the same links, groups and texts"
DAY_SHARE, MAX_COST_SHARE = 100, 0.03
MAX_STEPS_SHARE = 0.1
"""Of the steps over all days alone: no bar of ours, but what a change must not fall back behind."""
N_TEXTS = 2_000


def measure(home: Path, console: Console, *, sentences: int = 1_000_000) -> Measurement:
    """A rebuild of so many sentences and a tenth as many images, a day of 1% more, and a rebuild of everything."""
    memory_bytes = Settings.model_fields["memory_bytes"].default
    each = record_costs(home, console)
    with generated(home, console, n=sentences, day=sentences // DAY_SHARE) as (corpus, fitted):
        before = corpus.run("rebuild", everything=False, memory_bytes=memory_bytes)
        day = corpus.run("day", memory_bytes=memory_bytes)
        whole = corpus.run("rebuild", everything=True, memory_bytes=memory_bytes)
    return summarise(sentences, each, fitted, before, day, whole)


def record_costs(home: Path, console: Console) -> dict[str, float]:
    """CPU-seconds of an image and of a sentence: what is done to each record by itself."""
    packages = fetch(["mate-backgrounds", "wordnet-base"], home / "cache")
    pictures = sorted(path for path in packages["mate-backgrounds"].rglob("*.jpg") if not path.is_symlink())
    texts = list(read_definitions(packages["wordnet-base"] / "usr/share/wordnet").texts.values())
    console.print(f"{len(pictures)} pictures, {N_TEXTS} definitions", highlight=False)
    with TemporaryDirectory(dir=home) as scratch:
        lists = Path(scratch) / "pictures", Path(scratch) / "texts"
        for file, lines in zip(lists, (map(str, pictures), texts[:N_TEXTS]), strict=True):
            file.write_text("\n".join(lines))
        return run_module("record_costs", *map(str, lists), str(home))


def summarise(
    sentences: int, each: dict[str, float], fitted: dict[str, Any], before: dict[str, Any], day: dict[str, Any],
    whole: dict[str, Any],
) -> Measurement:  # fmt: skip
    """CPU-seconds by step, the day's share of the rebuild's, and what differs from the rebuild of everything."""
    runs = {"rebuild": before, "day": day, "rebuild with the day": whole}
    figures: dict[str, Any] = {
        step: {name: one["seconds"].get(step, 0.0) for name, one in runs.items()}
        for step in dict.fromkeys([*before["seconds"], *day["seconds"]])
    }
    for step in ("", *STEPS):
        costs = {name: cpu_seconds(one, step) for name, one in runs.items()}
        figures[f"{step or 'all'}, CPU-seconds"] = {**costs, "day / rebuild": costs["day"] / costs["rebuild"]}
    by_itself = sentences * (each["sentence_seconds"] + each["image_seconds"] / SENTENCES_PER_IMAGE)
    all_of, all_of_day = cpu_seconds(before) + by_itself, cpu_seconds(day) + by_itself / DAY_SHARE
    figures["each image, each sentence by itself (CPU-ms)"] = {name: 1e3 * took for name, took in each.items()}
    figures["with each record by itself, CPU-seconds"] = {
        "rebuild": all_of, "day": all_of_day, "day / rebuild": all_of_day / all_of
    }  # fmt: skip
    figures["peak memory (MB)"] = {name: peak_bytes(one) / 2**20 for name, one in runs.items()}
    figures["codebook and sight, once (CPU-seconds)"] = cpu_seconds(fitted)
    figures["images searched by the day"] = day["n_searched"]
    figures["share of sentences scored"] = whole["share_scored"]
    different = [kind for kind, digest in whole["digests"].items() if day["digests"][kind] != digest]
    checks = [
        Check("of images, sentences and texts: different from the rebuild's", len(different), "<=", 0),
        Check("CPU-seconds of a day of 1%, of the rebuild's", all_of_day / all_of, "<=", MAX_COST_SHARE),
        Check("steps over all days alone", cpu_seconds(day) / cpu_seconds(before), "<=", MAX_STEPS_SHARE),
    ]
    return Measurement(f"{sentences:,} generated sentences, a tenth as many images", figures, checks)
