"""What balance is worth: groups of labels covered and their entropy, at the same size as a uniform draw.

Two sets (`material/labelled_pictures.py`): the demo's own pictures, stamps with a label each among many of two manuals;
and a long tail of Tux Paint's labelled stamps, turned, cropped, lit and mirrored, as many of each label as Zipf's law
gives it. The `demo` encoder and tagger look at them; clusters are fitted on the pictures themselves, as a first release
does, and nothing sees a label. Nothing is tuned on them: the numbers are the defaults of `release_dataset`. Each draw
has clusters of its own: which k-means ends in moves the figures more than which pictures are drawn.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.material.labelled_pictures import demo_model, demo_pictures, long_tail
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.plans import ReleasePlan
from realsyn_ops.stages.cluster import assign, fit_centroids, n_clusters
from realsyn_ops.stages.sample import (
    Bounds,
    Rows,
    cluster_sizes,
    high_draws,
    select,
    solved_scales,
    tag_draws,
    tag_hashes,
)

SUMMARY = "labels covered and their entropy in a long tail of pictures: balanced beside uniform at the same size"
SHARES = (0.15, 0.3)
_WIDE = Bounds(-1.0, 1.0)
_KEY_SEED = 2
_MEMORY_BYTES = 2**28
_MORE = 1e-9


def measure(home: Path, console: Console, *, images: int = 1_200, draws: int = 200) -> Measurement:
    """Checks that balanced is better in both on both sets, on average over the draws; tags stand beside. Of each figure
    mean and standard deviation of a draw."""
    look, cache = demo_model(home), home / "cache"
    figures: dict[str, Any] = {}
    checks, told = [], []
    for name, seen in (("demo", demo_pictures(cache, look)), ("tail", long_tail(cache, look, n=images))):
        console.print(f"{name}: {len(seen.labels)} pictures", highlight=False)
        k = n_clusters(len(seen.labels), rows_per_cluster=ReleasePlan.images_per_cluster)
        clusters = [_clusters(seen.vectors, k=k, seed=seed) for seed in range(draws)]
        told.append(f"{name}: {len(seen.labels)} pictures of {len(np.unique(seen.labels))} labels in {k} clusters")
        figures[f"{name}, all"] = _row([_spread(seen.labels)])
        for share in SHARES:
            size = round(share * len(seen.labels))
            taken = [_selections(each, seen.tags, size=size, seed=seed) for seed, each in enumerate(clusters)]
            found = {balance: np.array([_spread(seen.labels[one[balance]]) for one in taken]) for balance in taken[0]}
            figures |= {f"{name}, {share:.0%}, {balance}": _row(each) for balance, each in found.items()}
            gains = found["clusters"] - found["uniform"]
            figures[f"{name}, {share:.0%}, clusters less uniform"] = _row(gains)
            for what, gain in zip(("labels covered", "entropy in bits"), gains.mean(axis=0).tolist(), strict=True):
                checks.append(Check(f"{name}, {share:.0%}: {what}, balanced less uniform", gain, ">=", _MORE))
    return Measurement(f"{'; '.join(told)}; {draws} draws", figures, checks)


def _clusters(vectors: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    """(n,) int32 of a first release with this seed."""
    clusters: np.ndarray = assign(vectors, fit_centroids(vectors, k=k, seed=seed))[0][:, 0].astype(np.int32)
    return clusters


def _row(each: Any) -> dict[str, float]:
    (labels, entropy), deviations = np.mean(each, axis=0).tolist(), np.std(each, axis=0).tolist()
    return {"labels": labels, "+-": deviations[0], "entropy in bits": entropy, "+- bits": deviations[1]}


def _selections(clusters: np.ndarray, tags: list[list[str]], *, size: int, seed: int) -> dict[str, np.ndarray]:
    """The pictures that each balance takes."""
    n = len(clusters)
    words = np.random.default_rng(_KEY_SEED).integers(0, 2**64, (n, 2), dtype=np.uint64)
    high = high_draws(words[:, 0], seed=seed)
    similarities, one = np.zeros(n, np.float32), np.zeros(n, np.int32)
    names, of_tags = np.unique([tag for each in tags for tag in each], return_inverse=True)
    limits = np.r_[0, np.cumsum([len(each) for each in tags])]
    by_tags = tag_draws(high, limits, tag_hashes(names.tolist())[of_tags], np.bincount(of_tags)[of_tags])
    found = {}
    for balance, rows in {
        "clusters": Rows(high, words[:, 1], clusters, similarities),
        "tags": Rows(by_tags, high, one, similarities),
        "uniform": Rows(high, words[:, 1], one, similarities),
    }.items():
        sizes = cluster_sizes([(rows.clusters, similarities)], _WIDE, n_clusters=int(rows.clusters.max()) + 1)
        scales = solved_scales(sizes, [size])
        selection = select(partial(_once, rows), _WIDE, sizes, scales, memory_bytes=_MEMORY_BYTES)
        found[balance] = np.flatnonzero(selection.places(rows) == 0)
    return found


def _once(rows: Rows) -> Iterator[Rows]:
    yield rows


def _spread(labels: np.ndarray) -> tuple[float, float]:
    """How many labels there are, and the entropy of their shares in bits."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(len(shares)), float(-(shares * np.log2(shares)).sum())
